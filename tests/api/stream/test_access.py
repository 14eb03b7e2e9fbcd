"""Access to the stream: keys in a header or as the first message, origins, limits."""

import asyncio
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from api.stream.address_limits import AddressLimits
from api.stream.feed import SUBSCRIBERS_PER_TURN
from api.stream.sinks import QueueSink
from tests.api.stream.client import Served, until
from tests.api.stream.conftest import ServeStream
from tests.calls import counted

KEY = "a-gateway-key-1"


async def test_a_key_may_come_as_the_first_message(serve_stream: ServeStream) -> None:
    async with serve_stream(GATEWAY_API_KEYS=KEY) as served, served.reader("?channels=gas") as one:
        await one.say(op="auth", key=KEY)
        assert (await one.any())["op"] == "hello"
        assert (await one.next(op="data"))["channel"] == "gas"


async def test_a_key_may_come_in_a_header(serve_stream: ServeStream) -> None:
    async with (
        serve_stream(GATEWAY_API_KEYS=KEY) as served,
        served.reader(additional_headers={"Authorization": f"Bearer {KEY}"}) as one,
    ):
        assert (await one.any())["op"] == "hello"


@pytest.mark.parametrize(
    "first",
    [
        json.dumps({"op": "auth", "key": "another-key-1"}),
        json.dumps({"op": "auth", "key": None}),
        json.dumps({"op": "subscribe", "channel": "market"}),
        json.dumps([KEY]),
        "nonsense",
        b"\x00",
    ],
)
async def test_without_a_valid_key_nothing_is_sent(
    serve_stream: ServeStream, first: str | bytes
) -> None:
    async with serve_stream(GATEWAY_API_KEYS=KEY) as served, served.reader() as one:
        await one.connection.send(first)
        with pytest.raises(ConnectionClosedError) as closed:
            await one.any()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
        assert one.seen == []
        assert served.broadcaster.counters().clients == 0


async def test_without_keys_clients_need_none(serve_stream: ServeStream) -> None:
    async with serve_stream() as served, served.reader() as one:
        assert (await one.any())["op"] == "hello"


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        (None, True),
        ("https://page.example", True),
        ("own", True),
        ("own behind TLS", True),
        ("https://evil.example", False),
        ("null", False),
    ],
)
async def test_pages_of_other_origins_are_refused(
    serve_stream: ServeStream, origin: str | None, is_allowed: bool
) -> None:
    async with serve_stream(CORS_ORIGINS="https://page.example") as served:
        own = {"own": served.url, "own behind TLS": served.url.replace("http:", "https:")}
        sent = own.get(origin or "", origin)
        if is_allowed:
            async with served.reader(origin=sent) as one:
                assert (await one.any())["op"] == "hello"
        else:
            with pytest.raises(InvalidStatus) as refused:
                async with served.reader(origin=sent):
                    pass
            assert refused.value.response.status_code == 403


async def test_a_client_that_connects_too_often_is_refused(serve_stream: ServeStream) -> None:
    async with serve_stream(CLIENT_RATE_LIMIT="1/hour") as served:
        async with served.reader() as one:
            assert (await one.any())["op"] == "hello"
        with pytest.raises(InvalidStatus):
            async with served.reader():
                pass


async def test_one_address_cannot_take_all_connections(serve_stream: ServeStream) -> None:
    async with (
        serve_stream(WS_MAX_CLIENTS="6", CLIENT_MAX_SHARE="0.5") as served,
        served.reader() as one,
        served.reader() as two,
        served.reader() as three,
    ):
        for reader in (one, two, three):
            assert (await reader.any())["op"] == "hello"
        async with served.reader() as fourth:
            with pytest.raises(ConnectionClosedError) as closed:
                await fourth.any()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013
        async with served.reader(local_addr=("127.0.0.2", 0)) as other:
            assert (await other.any())["op"] == "hello"
    assert served.broadcaster._slots._clients == {}


async def test_one_address_cannot_take_all_series(serve_stream: ServeStream) -> None:
    limits = AddressLimits(4, 0.5)
    async with serve_stream() as served, served.reader() as one, served.reader() as two:
        served.broadcaster._series = limits  # two of four series for one address
        for reader, interval in ((one, "1h"), (two, "4h"), (two, "1h")):
            await reader.say(op="subscribe", channel="ohlc", symbols=["BTC"], interval=interval)
            await reader.next(op="subscribed", interval=interval)
        await two.say(op="subscribe", id=7, channel="ohlc", symbols=["BTC"], interval="1d")
        refused = await two.next(op="error", id=7)
        assert refused["code"] == "too_many_topics"
        assert refused["message"] == "one address follows at most 2 series"
        await two.say(op="unsubscribe", channel="ohlc", symbols=["BTC"], interval="4h")
        await two.say(op="subscribe", id=8, channel="ohlc", symbols=["BTC"], interval="1d")
        await two.next(op="subscribed", id=8)
    await until(lambda: limits._followers == {})


async def test_a_subscription_costs_the_same_however_many_series_are_followed(
    served: Served,
) -> None:
    def calls_with(series: int) -> int:
        feeds: Any = {("ohlc", f"c-{number}", "1h"): None for number in range(series)}
        broadcaster._feeds.update(feeds)
        with counted() as calls:
            broadcaster._check_limits({("ohlc", "bitcoin", "1h")}, "192.0.2.1")
        broadcaster._feeds.clear()
        return calls.made

    broadcaster = served.broadcaster
    assert calls_with(160) == calls_with(40)


async def test_heartbeats_are_sent_in_turns(served: Served) -> None:
    """Five thousand at once would keep all others waiting."""
    broadcaster = served.broadcaster
    readers = [broadcaster.join(QueueSink()) for _ in range(2 * SUBSCRIBERS_PER_TURN + 1)]
    sent = broadcaster._counters.sent
    task = asyncio.create_task(broadcaster._send_heartbeats())
    await asyncio.sleep(0)
    assert broadcaster._counters.sent - sent == SUBSCRIBERS_PER_TURN
    broadcaster.leave(readers[-1])
    await task
    assert broadcaster._counters.sent - sent == 2 * SUBSCRIBERS_PER_TURN
    for reader in readers:
        broadcaster.leave(reader)


async def test_messages_and_new_series_are_charged(serve_stream: ServeStream) -> None:
    """192 messages made 2,850 calls."""
    async with serve_stream(CLIENT_RATE_LIMIT="11/hour") as served, served.reader() as one:
        await one.say(op="ping", id=1)  # with the handshake: two units
        for number, interval in enumerate(("1h", "4h", "1d")):  # three units each
            await one.say(
                op="subscribe", id=number, channel="ohlc", symbols=["BTC"], interval=interval
            )
            await one.next(op="subscribed", id=number)
        await one.say(op="ping", id=2)
        await one.next(op="error", code="rate_limited")
