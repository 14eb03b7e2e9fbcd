"""The same events by SSE."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api.stream.client import Served
from tests.world.push import PushWorld, mini_ticker

MANY = "/api/stream?channels=ohlc&interval=1h&symbols=" + ",".join(f"C{n}" for n in range(40))


async def events(answer: httpx.Response) -> AsyncIterator[tuple[str, str | None, dict[str, Any]]]:
    """(event, id, data) as a browser would read them."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, text = line.partition(": ")
            fields[name] = text
            continue
        if "data" in fields:
            yield fields["event"], fields.get("id"), json.loads(fields["data"])
        fields = {}


async def test_events_are_named_by_channel_and_numbered_by_seq(
    served: Served, push: PushWorld
) -> None:
    async with (
        httpx.AsyncClient(base_url=served.url) as client,
        client.stream("GET", "/api/stream?channels=market,gas&symbols=BTC") as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        received = events(answer)
        seen = [await anext(received) for _ in range(5)]
        assert [event for event, _, _ in seen][:3] == ["hello", "market", "gas"]
        data = {event: (id, frame) for event, id, frame in seen if frame["op"] == "data"}  # noqa: A001
        assert set(data) == {"market", "gas"}
        assert data["market"][0] == "1"
        assert data["market"][1]["data"][0]["id"] == "bitcoin"
        await push.until_open()
        await push.tell_tickers([mini_ticker("BTCUSDT", 51_000.0)])
        event, number, update = await anext(received)
        assert (event, number, update["type"]) == ("market", "2", "update")


async def test_a_client_that_reconnects_gets_a_snapshot(served: Served) -> None:
    async with (
        httpx.AsyncClient(base_url=served.url) as client,
        client.stream("GET", "/api/stream", headers={"Last-Event-ID": "41"}) as answer,
    ):
        async for _, _, frame in events(answer):
            if frame["op"] == "data":
                break
    assert (frame["channel"], frame["type"], len(frame["data"])) == ("market", "snapshot", 250)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/stream?channels=weather", 422, "invalid_parameter"),
        ("/api/stream?channels=ohlc&symbols=BTC", 422, "invalid_parameter"),
        ("/api/stream?channels=ohlc&symbols=BTC&interval=7h", 422, "invalid_parameter"),
        ("/api/stream?channels=market&channels=gas", 422, "invalid_parameter"),
        ("/api/stream?symbols=NOSUCHCOIN", 404, "unknown_symbol"),
        ("/api/stream?channels=", 422, "invalid_parameter"),
        ("/api/stream?channels=,", 422, "invalid_parameter"),
        ("/api/stream?symbols=,", 422, "invalid_parameter"),
        ("/api/stream?channels=gas&symbols=BTC", 422, "invalid_parameter"),
        ("/api/stream?interval=1h", 422, "invalid_parameter"),
        ("/api/stream?channel=gas", 422, "unknown_parameter"),
        (MANY, 422, "invalid_parameter"),
    ],
)
async def test_an_invalid_query_is_a_problem_document(
    served: Served, path: str, status: int, code: str
) -> None:
    answer = await served.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_head_ends_at_once(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url, timeout=5) as client:
        answer = await client.head("/api/stream?channels=gas")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert served.broadcaster.counters().clients == 0


async def test_shutdown_is_the_last_event_when_the_gateway_stops(served: Served) -> None:
    async with (
        httpx.AsyncClient(base_url=served.url) as client,
        client.stream("GET", "/api/stream?channels=gas") as answer,
    ):
        received = events(answer)
        await anext(received)
        closing = asyncio.create_task(served.broadcaster.aclose())
        frames = [frame async for _, _, frame in received]
        await closing
    assert frames[-1] == {"op": "shutdown", "reconnect_after_ms": 1_500}
