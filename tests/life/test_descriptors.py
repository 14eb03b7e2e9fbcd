"""File descriptors run out: no provider counts as failed, and the gateway recovers."""

import asyncio
import json
import resource
import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.life.clients import connected
from tests.life.process import OUTPUT, Gateway, cpu_s, descriptors, running, started
from tests.world.server import World

#: A provider's name is looked up in a thread, which wants descriptors of its own.
BY_NAME = "ETHEREUM_RPC_BASE_URL"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def leave_only(gateway: Gateway, count: int) -> int:
    """So many descriptors more than it has; gives their number."""
    most = len(descriptors(gateway.process.pid)) + count
    gateway.limit(resource.RLIMIT_NOFILE, most)
    return most


async def ask_anew(gateway: Gateway, path: str) -> httpx.Response:
    """Over a connection of its own, which is closed again."""
    async with httpx.AsyncClient(base_url=gateway.client.base_url, timeout=10) as client:
        return await client.get(path)


async def served_again(gateway: Gateway, path: str, within_s: float = 20.0) -> httpx.Response:
    async with asyncio.timeout(within_s):
        while True:
            try:
                answer = await ask_anew(gateway, path)
            except httpx.TransportError:
                answer = None
            if answer and answer.status_code == 200:
                return answer
            await asyncio.sleep(0.2)


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not claim():
            await asyncio.sleep(0.05)


@pytest.fixture
def settings(world: World, tmp_path: Path) -> dict[str, str]:
    by_name = world.url("ethereum_rpc").replace("127.0.0.1", "localhost")
    return world.environment(STATE_PATH=str(tmp_path / "gateway.sqlite")) | {BY_NAME: by_name}


async def test_idle_clients_do_not_block_new_ones(tmp_path: Path, settings: dict[str, str]) -> None:
    async with running(tmp_path, **settings) as gateway, AsyncExitStack() as stack:
        most = leave_only(gateway, 10)
        for _ in range(40):
            await stack.enter_async_context(connected(gateway.port))
        answer = await served_again(gateway, "/api/market?limit=1")
        open_now = len(descriptors(gateway.process.pid))
        ended = await gateway.stop()
    assert not answer.json()["meta"]["stale"]
    assert open_now < most
    assert ended.code == 0
    assert "no file descriptor is left" in ended.output
    assert "Traceback" not in ended.output


async def test_a_lack_of_descriptors_is_no_failure_of_a_provider(
    world: World, tmp_path: Path, settings: dict[str, str]
) -> None:
    async with running(tmp_path, **settings) as gateway, AsyncExitStack() as stack:
        await gateway.client.aclose()  # an idle connection would be closed, and leave room
        address = f"ws://127.0.0.1:{gateway.port}/ws"
        reader = await stack.enter_async_context(connect(address, proxy=None, close_timeout=1))
        await asyncio.sleep(0.2)
        most = leave_only(gateway, 12)
        async with AsyncExitStack() as crowd:
            for _ in range(30):
                await crowd.enter_async_context(connected(gateway.port, HANDSHAKE))
            await until(lambda: len(descriptors(gateway.process.pid)) >= most)
            began_s = cpu_s(gateway.process.pid)
            for channel in ("market", "gas", "sentiment"):
                await reader.send(json.dumps({"op": "subscribe", "channel": channel}))
            await asyncio.sleep(2)
            used_s = cpu_s(gateway.process.pid) - began_s
        calls_before = sum(world.calls.values())
        answers = [
            await served_again(gateway, path)
            for path in ("/api/gas", "/api/sentiment", "/api/market?limit=1")
        ]
        status = (await ask_anew(gateway, "/api/status")).json()
        ended = await gateway.stop()
    assert calls_before == 0, "there was room for a call"
    assert used_s < 1, "it ran in circles"
    assert [answer.json()["meta"]["stale"] for answer in answers] == [False] * 3
    failed = {one["name"]: one["last_error"] for one in status["providers"] if one["failures"]}
    assert failed == {}
    statuses = {one["status"] for one in status["providers"]}
    assert statuses == {"active", "not_configured", "disabled"}
    assert ended.code == 0
    assert "Traceback" not in ended.output
    assert "damaged" not in ended.output
    with closing(sqlite3.connect(tmp_path / "gateway.sqlite")) as state:
        assert state.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert state.execute("SELECT count(*) FROM answers").fetchone()[0] >= 3


FIRST_FEED = """
import sys, time
from backend.models.news import ReportsQuery
from backend.providers.adapter import Context
from backend.providers.vendors import rss
from tests.world import feeds
known, now = set(sys.modules), time.time()
body = feeds.feed("rss_coindesk", now)
rss.parse_feed(ReportsQuery(), [body], Context("rss_coindesk", "feed", int(now * 1000)))
print(sorted(set(sys.modules) - known))
"""


async def test_the_first_feed_opens_no_file(tmp_path: Path) -> None:
    async with started(tmp_path, "-c", FIRST_FEED) as process:
        assert await process.wait() == 0
    assert (tmp_path / OUTPUT).read_text() == "[]\n"


FIRST_STORED_ANSWERS = """
import sys
from api import process
from backend.categories import CATEGORIES, HELPERS
known = set(sys.modules)
for category in (*CATEGORIES.values(), *HELPERS.values()):
    codec = category.retention.codec
    assert codec.decoded(b"{}") is None and codec.decoded_query(b"[]") is None
print(sorted(set(sys.modules) - known))
"""


async def test_the_first_stored_answers_open_no_file(tmp_path: Path) -> None:
    """Their adapters are built at the first use; all modules for that are known at the start."""
    async with started(tmp_path, "-c", FIRST_STORED_ANSWERS) as process:
        assert await process.wait() == 0
    assert (tmp_path / OUTPUT).read_text() == "[]\n"
