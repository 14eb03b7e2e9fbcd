"""The line of docs/api.md for a browser's console."""

import pytest
from playwright.async_api import ConsoleMessage

from tests.dashboard.browser import Watched
from tests.dashboard.stage import Stage
from tests.readme.document import ADDRESS, BLOCKS

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_it_prints_frames_of_the_stream(stage: Stage, watched: Watched) -> None:
    (line,) = [block.text for block in BLOCKS if block.language == "js"]
    heard: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        heard.append(message.text)

    watched.page.on("console", hear)
    await watched.page.evaluate(
        "line => { (0, eval)(line); }", line.replace(ADDRESS, f"127.0.0.1:{stage.port}")
    )
    await stage.until(lambda: any('"type":"snapshot"' in text for text in heard))
    await stage.move(1.01, count=1)
    await stage.until(lambda: any('"type":"update"' in text for text in heard))
