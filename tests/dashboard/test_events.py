"""A network that lets no WebSocket through: the page lives on event streams."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import expect
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.dashboard.browser import Watched
from tests.dashboard.conftest import OpenPage
from tests.dashboard.front import front
from tests.dashboard.stage import Stage, open_stage
from tests.dashboard.test_connection import HIDE, KEY

pytestmark = pytest.mark.asyncio(loop_scope="session")

PRICE = "#coins tr[data-key=bitcoin] td.price"


class WithoutWebSockets:
    """Refuses each handshake, as proxies do that know only HTTP, or leaves it without an answer."""

    def __init__(self, app: ASGIApp, is_silent: bool = False) -> None:
        self._app, self._is_silent = app, is_silent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        await receive()
        if self._is_silent:
            await asyncio.sleep(60)
        await send({"type": "websocket.close", "code": 1008})


def forgive_handshakes(watched: Watched) -> None:
    watched.errors = [one for one in watched.errors if "/ws' failed" not in one]


async def test_the_page_lives_on_event_streams(stage: Stage, look: OpenPage) -> None:
    async with front(WithoutWebSockets(stage.app)) as address, look(f"{address}/") as watched:
        await watched.rows()
        await expect(watched.of("#connection-text")).to_have_text("Connected")
        await expect(watched.of("#news-list li").first).to_be_attached()
        await expect(watched.of("#gas-slow")).to_have_text("0.501")
        await stage.move(1.01, count=1)
        await expect(watched.of(PRICE)).to_have_text("61,852.91")
        await stage.move_candle(64_000)
        await expect(watched.of("#chart-legend")).to_contain_text("C 64,000")
        await watched.of("#coins tr[data-key=ethereum] .pick").click()
        await expect(watched.of("#chart-legend")).to_contain_text("C 2,931.4")
        await watched.of("#chain").select_option("base")
        await expect(watched.of("[data-category=gas] b")).to_have_text("Base node")
        await stage.move(1.02, count=1)
        await expect(watched.of(PRICE)).to_have_text("62,465.31")
        assert stage.readers == 2
        await watched.page.evaluate(HIDE, "hidden")
        await stage.until(lambda: stage.readers == 0)
        await watched.page.evaluate(HIDE, "visible")
        await stage.until(lambda: stage.readers == 2)
        forgive_handshakes(watched)


async def test_a_handshake_without_an_answer_is_given_up(stage: Stage, look: OpenPage) -> None:
    app = WithoutWebSockets(stage.app, is_silent=True)
    async with front(app) as address, look(f"{address}/") as watched:
        await expect(watched.of(PRICE)).to_have_text("61,240.5", timeout=30_000)
        forgive_handshakes(watched)
        watched.errors = [one for one in watched.errors if "before the connection" not in one]


async def test_event_streams_send_the_gateway_s_key(tmp_path: Path, look: OpenPage) -> None:
    async with (
        open_stage(tmp_path, GATEWAY_API_KEYS=KEY) as stage,
        front(WithoutWebSockets(stage.app)) as address,
        look(f"{address}/") as watched,
    ):
        field = watched.page.get_by_label("Gateway key")
        await field.fill("wrong")
        await field.press("Enter")
        await expect(watched.of("#key-why")).to_have_text("The key was refused.")
        await field.fill(KEY)
        await field.press("Enter")
        await watched.rows()
        assert not any(KEY in url for url in watched.requests)
        forgive_handshakes(watched)
        watched.errors = [one for one in watched.errors if "401" not in one]
