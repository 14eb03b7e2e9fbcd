"""Binance's streams through the gateway: real clients, and a real server in Binance's place."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest

from tests.api.facades.binance.streams.client import BOOK, PRICE, TRADE, client, enveloped
from tests.api.stream.client import Served, until
from tests.api.stream.conftest import ServeStream
from tests.scrape import samples
from tests.world.push import PushWorld

WAYS = pytest.mark.parametrize("direct", ["true", "false"])


def commands(push: PushWorld, method: str) -> list[list[str]]:
    """The streams of each such command that the vendor heard."""
    heard = [command for session in push.sessions for command in session.commands]
    return [command.get("params", []) for command in heard if command["method"] == method]


@WAYS
async def test_forty_clients_of_a_stream_cost_one_subscription_and_get_the_same_bytes(
    serve_stream: ServeStream, push: PushWorld, direct: str
) -> None:
    async with serve_stream(WS_DIRECT=direct) as served, AsyncExitStack() as stack:
        raw = [
            await stack.enter_async_context(client(served, f"/binance/ws/{TRADE}"))
            for _ in range(20)
        ]
        path = f"/binance/stream?streams={TRADE}"
        combined = [await stack.enter_async_context(client(served, path)) for _ in range(20)]
        await push.until_asked(TRADE)
        for number in range(3):
            await push.tell(enveloped(TRADE, f'{PRICE[:-1]},\t"n":{number}}}'), TRADE)
            for one in raw:
                assert await one.text() == f'{PRICE[:-1]},\t"n":{number}}}'
            for one in combined:
                assert await one.text() == enveloped(TRADE, f'{PRICE[:-1]},\t"n":{number}}}')
        assert commands(push, "SUBSCRIBE") == [[TRADE]]
        assert push.paths == ["/stream"]


async def test_a_client_gets_the_streams_of_its_address_and_no_other(
    served: Served, push: PushWorld
) -> None:
    async with (
        client(served, f"/binance/ws/{TRADE}/{BOOK}") as both,
        client(served, f"/binance/ws/{BOOK}") as one,
        client(served, "/binance/ws/") as none,
    ):
        await push.until_asked(TRADE)
        await push.until_asked(BOOK)
        await push.tell(enveloped(TRADE), TRADE)
        await push.tell(enveloped(BOOK, "{}"), BOOK)
        assert [await both.text(), await both.text()] == [PRICE, "{}"]
        assert await one.text() == "{}"
        await none.nothing()


async def test_streams_begin_and_end_by_commands(served: Served, push: PushWorld) -> None:
    async with client(served) as one:
        assert await one.say("SUBSCRIBE", TRADE, BOOK, id=7) == {"result": None, "id": 7}
        await push.until_asked(BOOK)
        await push.tell(enveloped(TRADE), TRADE)
        assert await one.text() == PRICE
        assert await one.say("LIST_SUBSCRIPTIONS", id="a-1") == {
            "result": [TRADE, BOOK],
            "id": "a-1",
        }
        assert await one.say("UNSUBSCRIBE", TRADE, "x@trade", id=None) == {
            "result": None,
            "id": None,
        }
        await push.tell(enveloped(TRADE), TRADE)
        await one.nothing()
        assert await one.send({"method": "LIST_SUBSCRIPTIONS", "id": 9}) == {
            "result": [BOOK],
            "id": 9,
        }
        await until(lambda: commands(push, "UNSUBSCRIBE") == [[TRADE]])


async def test_the_envelope_is_a_property(served: Served, push: PushWorld) -> None:
    async with (
        client(served, f"/binance/ws/{TRADE}") as raw,
        client(served, f"/binance/stream?streams={TRADE}") as combined,
    ):
        assert (await raw.say("GET_PROPERTY", "combined"))["result"] is False
        assert (await combined.say("GET_PROPERTY", "combined"))["result"] is True
        assert await raw.say("SET_PROPERTY", "combined", True) == {"result": None, "id": 1}
        assert await combined.say("SET_PROPERTY", "combined", False) == {"result": None, "id": 1}
        await push.until_asked(TRADE)
        await push.tell(enveloped(TRADE), TRADE)
        assert await raw.text() == enveloped(TRADE)
        assert await combined.text() == PRICE


async def test_a_stream_is_counted_by_its_readers(served: Served, push: PushWorld) -> None:
    """Whether they unsubscribe, close, or vanish."""
    async with client(served, f"/binance/ws/{TRADE}") as stays:
        async with client(served, f"/binance/ws/{TRADE}") as leaves, client(served) as vanishes:
            await vanishes.say("SUBSCRIBE", TRADE)
            await leaves.say("UNSUBSCRIBE", TRADE)
            await leaves.say("UNSUBSCRIBE", TRADE)
            vanishes.connection.transport.abort()
        await push.until_asked(TRADE)
        await until(lambda: served.app.state.raw_streams.counters().clients == 1)
        await asyncio.sleep(0.5)
        assert commands(push, "UNSUBSCRIBE") == []
        await push.tell(enveloped(TRADE), TRADE)
        assert await stays.text() == PRICE
        await stays.say("UNSUBSCRIBE", TRADE)
        await until(lambda: commands(push, "UNSUBSCRIBE") == [[TRADE]])
    assert served.app.state.raw_streams._readers == {}
    assert served.app.state.raw_streams._addresses._followers == {}
    await until(lambda: not served.app.state.raw_streams._clients)


async def test_the_connection_to_the_vendor_ends_after_the_last_reader(
    served: Served, push: PushWorld
) -> None:
    async with client(served, f"/binance/ws/{TRADE}"):
        await push.until_asked(TRADE)
    await push.until_closed()
    assert len(push.sessions) == 1


async def test_names_in_a_query_may_have_a_plus(served: Served, push: PushWorld) -> None:
    name = "btcusdt@kline_1M@+08:00"
    async with client(served, f"/binance/stream?streams={name}") as one:
        await push.until_asked(name)
        await push.tell(enveloped(name), name)
        assert await one.text() == enveloped(name)


async def test_a_wrong_name_in_the_address_is_an_error_and_the_others_are_read(
    served: Served, push: PushWorld
) -> None:
    async with client(served, f"/binance/ws/BTCUSDT@trade/{TRADE}/more") as one:
        refused = json.loads(await one.text())
        assert (refused["code"], refused["id"]) == (2, None)
        assert refused["msg"].startswith("Invalid request: BTCUSDT@trade is not a stream")
        await push.until_asked(TRADE)
        await push.tell(enveloped(TRADE), TRADE)
        assert await one.text() == PRICE


async def test_nothing_but_market_data_goes_upstream(served: Served, push: PushWorld) -> None:
    async with client(served) as one:
        for name in ("pqia91ma19a5s61cv6a81va65sdf19v8a65a1", "!userData@arr", "x" * 5_000):
            refused = await one.say("SUBSCRIBE", TRADE, name)
            assert refused["code"] == 2
            assert len(refused["msg"]) < 200
        assert (await one.say("LIST_SUBSCRIPTIONS"))["result"] == []
    assert push.paths == []


async def test_what_the_vendor_sends_besides_frames_goes_to_nobody(
    served: Served, push: PushWorld
) -> None:
    async with client(served, f"/binance/ws/{TRADE}") as one:
        await push.until_asked(TRADE)
        for junk in ("junk", enveloped(TRADE, '{"p":}'), enveloped("ethusdt@trade"), "[]"):
            await push.tell(junk)
            await push.tell(enveloped(TRADE), TRADE)
            assert await one.text() == PRICE
        await push.say_goodbye()
        await until(lambda: len(push.sessions) == 2)
        await push.until_asked(TRADE)
        await push.tell(enveloped(TRADE), TRADE)
        assert await one.text() == PRICE


async def test_after_a_loss_the_streams_come_back_and_nothing_is_repeated(
    served: Served, push: PushWorld
) -> None:
    async with client(served, f"/binance/ws/{TRADE}") as one:
        await push.until_asked(TRADE)
        await push.tell(enveloped(TRADE), TRADE)
        assert await one.text() == PRICE
        await push.stop()
        await one.nothing(0.3)
        await push.start()
        await push.until_asked(TRADE)
        await one.nothing(0.3)
        await push.tell(enveloped(TRADE, "7"), TRADE)
        assert await one.text() == "7"


async def test_metrics_and_status_count_clients_frames_and_the_vendors_connection(
    served: Served, push: PushWorld
) -> None:
    async with client(served, f"/binance/ws/{TRADE}/{BOOK}") as one, served.reader():
        await push.until_asked(BOOK)
        await push.tell(enveloped(TRADE), TRADE)
        await one.text()
        read = samples((await served.get("/metrics")).text)
        assert read["gateway_raw_stream_clients"] == 1
        assert read["gateway_raw_streams"] == 2
        assert read["gateway_raw_stream_messages_sent_total"] == 1
        assert read["gateway_raw_stream_clients_closed_total"] == 0
        assert read["gateway_raw_stream_state{provider=binance,state=live}"] == 1
        assert read["gateway_raw_stream_state{provider=binance,state=down}"] == 0
        assert read["gateway_stream_clients"] == 1
        assert (await served.get("/api/status")).json()["websocket"]["clients"] == 2
