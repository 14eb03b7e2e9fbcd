"""The watched client: one call at a time to each host, and a bound on all calls."""

import asyncio

import httpx
import pytest

from backend.clock import SystemClock
from backend.errors import Busy, MalformedResponse
from backend.providers.adapter import Adapter, Call
from tests.live import client as watched
from tests.live.client import Traffic, WatchedClient

ADAPTER = Adapter("test", ())


class Slow(httpx.AsyncBaseTransport):
    """Notes the most concurrent requests to each host and to all."""

    def __init__(self) -> None:
        self.now: list[str] = []
        self.most_of_host = self.most = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.now.append(request.url.host)
        self.most_of_host = max(self.most_of_host, self.now.count(request.url.host))
        self.most = max(self.most, len(self.now))
        await asyncio.sleep(0.02)
        self.now.remove(request.url.host)
        body = b"no JSON" if request.url.path == "/bad" else b"[1, 2]"
        return httpx.Response(200, stream=httpx.ByteStream(body))


def client(inner: Slow, traffic: Traffic) -> WatchedClient:
    return WatchedClient(SystemClock(), inner, traffic)


async def test_a_host_gets_one_call_at_a_time() -> None:
    inner, traffic = Slow(), Traffic()
    urls = ("https://one.test", "https://one.test/path", "https://two.test")
    calls = [
        client(inner, traffic).call(ADAPTER, Call("/x"), url, None, 5) for url in urls for _ in "ab"
    ]
    assert [reply.payload for reply in await asyncio.gather(*calls)] == [[1, 2]] * 6
    assert (inner.most_of_host, inner.most) == (1, 2)
    assert traffic.calls == 6


async def test_the_calls_of_a_run_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "MOST_CALLS", 1)
    one = client(Slow(), Traffic())
    await one.call(ADAPTER, Call("/x"), "https://one.test", None, 5)
    with pytest.raises(Busy, match="this run has made 1 calls"):
        await one.call(ADAPTER, Call("/x"), "https://one.test", None, 5)


async def test_the_cost_of_calls_is_added_up() -> None:
    one = client(Slow(), Traffic())
    for _ in range(2):
        await one.call(ADAPTER, Call("/x", max_bytes=60), "https://one.test", None, 5)
    assert (one.status, one.size, one.share) == (200, 12, 0.1)
    assert one.ms >= 40
    with pytest.raises(MalformedResponse):
        await one.call(ADAPTER, Call("/bad"), "https://one.test", None, 5)
    assert (one.status, one.size) == (200, 12)
    one.begin()
    assert (one.status, one.ms, one.size, one.share) == (None, 0.0, 0, 0.0)
