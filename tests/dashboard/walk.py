"""`python -m tests.dashboard.walk FOLDER [--states=well,lost] [width …]`: the page in each state,
at each width, in light and dark, with long names and prices from 1e-12 to 1e9, as images."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, FloatRect

from tests.dashboard import scenery
from tests.dashboard.browser import Watched, open_browser, open_page
from tests.dashboard.situations import SITUATIONS, open_situation

HEIGHTS = {390: 844, 768: 1024, 960: 720, 1280: 800, 1920: 1080, 2560: 1440}
#: The height of one image, in px: a long page in one image cannot be read.
PIECE = 1_400
LONG_NAME = "The Quite Extraordinarily Long Name of a Coin of Sixty-Four Chars"[:64]
PRICES = (1e-12, 7.1e-9, 0.99999, 1.0, 5.21, 1_234_567.891, 1e9)


def make_hard() -> None:
    """The second to eighth coins are hard to show."""
    for place, price in enumerate(PRICES, start=1):
        name, symbol, title, _ = scenery.COINS[place]
        scenery.COINS[place] = name, symbol, LONG_NAME if place % 2 else title, price


async def shoot(watched: Watched, path: Path, width: int) -> None:
    """The whole page at this width, in pieces."""
    await watched.page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
    await asyncio.sleep(1)  # the chart draws itself again, and flashes end
    height = await watched.page.evaluate("document.documentElement.scrollHeight")
    for top in range(0, height, PIECE):
        clip: FloatRect = {"x": 0, "y": top, "width": width, "height": min(PIECE, height - top)}
        piece = path.with_stem(f"{path.stem}-{width}-{top // PIECE}")
        await watched.page.screenshot(path=piece, full_page=True, clip=clip)


async def visit(browser: Browser, state: str, scheme: Any, folder: Path, widths: list[int]) -> None:
    """One gateway and one page, which is seen at each width; a phone's is a page of its own."""
    for phone in (True, False):
        chosen = [width for width in widths if (width < 500) is phone]
        if not chosen:
            continue
        size = {"width": chosen[0], "height": HEIGHTS[chosen[0]]}
        options: dict[str, Any] = {"viewport": size, "color_scheme": scheme}
        if phone:
            options |= {"has_touch": True, "is_mobile": True}
        with tempfile.TemporaryDirectory() as kept:
            async with (
                open_situation(state, Path(kept)) as (stage, situation),
                open_page(browser, **options) as watched,
            ):
                coin = (
                    "bitcoin" if scheme == "light" else "cardano"
                )  # a long name, and the largest price
                await watched.page.goto(f"{stage.url}#coin={coin}")
                if situation.reach:
                    await situation.reach(stage, watched)
                for width in chosen:
                    await shoot(watched, folder / f"{state}-{scheme}.png", width)
                if state == "lost":
                    await stage.start()


async def main(folder: Path, states: list[str], widths: list[int]) -> None:
    make_hard()
    async with open_browser() as browser:
        for state in states:
            for scheme in ("light", "dark"):
                await visit(browser, state, scheme, folder, widths)


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    named = [one.removeprefix("--states=") for one in sys.argv if one.startswith("--states=")]
    chosen = [int(one) for one in sys.argv[2:] if one.isdigit()]
    asyncio.run(
        main(
            Path(sys.argv[1]),
            named[0].split(",") if named else list(SITUATIONS),
            chosen or list(HEIGHTS),
        )
    )
