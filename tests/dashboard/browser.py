"""A real browser, cut off from every network but loopback, and a page that is watched."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Route,
    WebSocketRoute,
    async_playwright,
    expect,
)

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
INSTALL = (
    "no browser is installed (looked for " + ", ".join(NAMES) + "); on Debian: "
    "apt-get install chromium-headless-shell"
)
#: What is not loopback meets a proxy that does not exist; names are not even looked up.
CUT_OFF = (
    "--no-sandbox",
    "--proxy-server=http://127.0.0.1:9",
    "--proxy-bypass-list=127.0.0.1",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    # A page of the Internet may not show a loopback address; ours only plays one of the Internet.
    "--disable-features=LocalNetworkAccessChecks",
)
LOOPBACK = "127.0.0.1"
#: A status comes every 5 s, and a busy machine is late: what is awaited may take two of them.
expect.set_options(timeout=15_000)


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    path = find_browser()
    assert path, INSTALL
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(CUT_OFF))
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Watched:
    """A page, and what it should not have done."""

    page: Page
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)

    def of(self, selector: str) -> Locator:
        return self.page.locator(selector)

    async def rows_only(self) -> None:
        """The first ones: a narrow page shows 25."""
        await expect(self.of("#coins tr").nth(24)).to_be_attached()

    async def rows(self) -> None:
        """Until the market's rows are there, and Bitcoin's candles."""
        await self.rows_only()
        await expect(self.of("#chart-legend")).to_contain_text("UTC")

    async def rewrite(self, change: Callable[[str], str | list[str]]) -> None:
        """Every message of the stream, before the page hears it: another, several, or none."""

        def connect(route: WebSocketRoute) -> None:
            server = route.connect_to_server()

            def pass_on(message: str | bytes) -> None:
                told = change(str(message))
                for text in [told] if isinstance(told, str) else told:
                    route.send(text)

            server.on_message(pass_on)

        await self.page.route_web_socket(lambda _url: True, connect)

    def forgive(self, text: str) -> None:
        """What the browser itself complains of, where a test makes it."""
        assert any(text in error for error in self.errors), self.errors
        self.errors = [error for error in self.errors if text not in error]

    def forgive_loss(self) -> None:
        """What the browser says of attempts to reach a gateway that is away."""
        usual = ("/ws' failed", "ERR_CONNECTION_REFUSED")
        self.errors = [error for error in self.errors if not any(one in error for one in usual)]

    def watch(self) -> None:
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._see)
        self.page.on("websocket", lambda socket: self._see_socket(socket.url))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(message.text)

    def _see(self, request: Request) -> None:
        self.requests.append(request.url)
        self._see_address(request.url)

    def _see_socket(self, url: str) -> None:
        self.sockets.append(url)
        self._see_address(url)

    def _see_address(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and parts.hostname != LOOPBACK:
            self.foreign.append(url)


@asynccontextmanager
async def open_page(browser: Browser, **options: Any) -> AsyncIterator[Watched]:
    """In a context of its own: no cache, no storage of another test."""
    context: BrowserContext = await browser.new_context(**options)
    context.set_default_timeout(10_000)
    try:
        await context.route(lambda url: urlsplit(url).hostname != LOOPBACK, _abort)
        watched = Watched(await context.new_page())
        watched.watch()
        yield watched
    finally:
        await context.close()


async def _abort(route: Route) -> None:
    await route.abort()
