"""One browser for all of a worker's tests, and for each a gateway and a page of its own."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.dashboard.browser import INSTALL, Watched, find_browser, open_browser, open_page
from tests.dashboard.stage import Stage, open_stage

OpenPage = Callable[..., AbstractAsyncContextManager[Watched]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    if not find_browser():
        if os.environ.get("CI"):
            pytest.fail(INSTALL)
        pytest.skip(INSTALL)
    async with open_browser() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as opened:
        yield opened
        assert opened.world.overruns == []


@pytest.fixture
def look(browser: Browser) -> OpenPage:
    """`async with look(url, color_scheme="dark") as watched`: loaded, and blameless at the end."""

    @asynccontextmanager
    async def opened(url: str, **options: Any) -> AsyncIterator[Watched]:
        async with open_page(browser, **options) as watched:
            await watched.page.goto(url)
            yield watched
            assert watched.errors == []
            assert watched.foreign == []

    return opened


@pytest_asyncio.fixture(loop_scope="session")
async def watched(stage: Stage, look: OpenPage) -> AsyncIterator[Watched]:
    """The page in front of a gateway that is well, with its rows there."""
    async with look(stage.url) as opened:
        await opened.rows()
        yield opened


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks for the browser is run by a command of its own."""
    for item in items:
        if "tests/dashboard/" in str(item.path) and "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
