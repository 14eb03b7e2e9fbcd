"""The contract's conversation, by a real client over a real socket."""

from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from api.ws_data_broadcaster import MAX_FRAME_BYTES, MAX_TOPICS, MESSAGES_PER_S
from tests.api.stream.client import Reader, Served
from tests.api.stream.conftest import ServeStream
from tests.world.server import World

#: As deep as the reader of JSON goes; Python's own recursion ends before.
DEEP = "[" * 1_000 + "]" * 1_000
REST = {
    "market": "/api/market?limit=250",
    "news": "/api/news",
    "sentiment": "/api/sentiment",
    "gas": "/api/gas",
}


async def close_code(reader: Reader) -> int | None:
    """The close code, once all that was sent before has been read."""
    with suppress(ConnectionClosed):
        while True:
            await reader.any()
    return reader.connection.close_code


async def test_hello_states_protocol_and_limits(served: Served) -> None:
    async with served.reader() as reader:
        hello = await reader.any()
    assert (hello["op"], hello["protocol"], hello["heartbeat_seconds"]) == ("hello", 1, 15)
    assert hello["channels"] == ["market", "ohlc", "news", "sentiment", "gas", "status"]
    assert hello["limits"] == {
        "clients": 1_000,
        "topics": 32,
        "symbols": 250,
        "series": 200,
        "clients_of_an_address": 500,
        "series_of_an_address": 100,
        "frame_bytes": 65_536,
        "messages_per_second": 20,
        "stuck_seconds": 30,
    }


async def test_the_conversation_of_the_contract(served: Served) -> None:
    async with served.reader() as reader:
        await reader.say(op="subscribe", id=1, channel="market", symbols=["bitcoin", "ETH"])
        assert await reader.next(op="subscribed") == {
            "op": "subscribed",
            "id": 1,
            "channel": "market",
            "symbols": ["BTC", "ETH"],
        }
        snapshot = await reader.next(op="data")
        assert (snapshot["channel"], snapshot["type"], snapshot["seq"]) == ("market", "snapshot", 1)
        assert snapshot["time"].endswith("Z")
        assert [row["id"] for row in snapshot["data"]] == ["bitcoin", "ethereum"]
        await reader.say(op="ping", id=9)
        assert await reader.next(op="pong") == {"op": "pong", "id": 9}
        await reader.say(op="unsubscribe", id="two", channel="market")
        assert (await reader.next(op="unsubscribed"))["id"] == "two"


@pytest.mark.parametrize("channel", ["market", "ohlc"])
async def test_an_ambiguous_name_gives_the_warnings_of_rest(served: Served, channel: str) -> None:
    about = {"interval": "1h"} if channel == "ohlc" else {}
    async with served.reader() as reader:
        await reader.say(op="subscribe", id=1, channel=channel, symbols=["BTC"], **about)
        received = await reader.next(op="subscribed")
        answer = (await served.get("/api/market?symbols=BTC")).json()
        assert "BTC is ambiguous" in received["warnings"][0]
        assert received["warnings"] == answer["meta"]["warnings"]


@pytest.mark.parametrize("channel", REST)
async def test_a_snapshot_is_what_rest_answers(served: Served, channel: str) -> None:
    async with served.reader(f"?channels={channel}") as reader:
        snapshot = await reader.next(op="data")
    answer = (await served.get(REST[channel])).json()
    assert (snapshot["data"], snapshot["meta"]) == (answer["data"], answer["meta"])


async def test_candles_are_those_of_rest_with_coin_and_interval(served: Served) -> None:
    async with served.reader("?channels=ohlc&symbols=bitcoin,ETH&interval=4h") as reader:
        received = {
            frame["symbol"]: frame for frame in [await reader.next(op="data") for _ in "ab"]
        }
        answer = (await served.get("/api/market/ohlc?symbol=BTC&interval=4h")).json()
    assert set(received) == {"BTC", "ETH"}
    assert received["BTC"]["interval"] == "4h"
    assert received["BTC"]["data"] == answer["data"]
    assert len(answer["data"]) == 200


async def test_news_can_be_limited_to_coins(served: Served) -> None:
    async with served.reader("?channels=news&symbols=bitcoin") as reader:
        snapshot = await reader.next(op="data")
    assert snapshot["data"]
    assert all("BTC" in row["symbols"] for row in snapshot["data"])


async def test_the_gateways_status_is_a_channel(served: Served) -> None:
    async with served.reader("?channels=status") as reader:
        snapshot = await reader.next(op="data")
    assert snapshot["meta"] is None
    assert snapshot["data"]["websocket"]["clients"] == 1
    assert {row["name"] for row in snapshot["data"]["providers"]} >= {"binance", "etherscan"}


async def test_a_second_subscription_to_a_channel_replaces_the_first(served: Served) -> None:
    async with served.reader("?channels=market&symbols=BTC") as reader:
        await reader.next(op="data")
        await reader.say(op="subscribe", channel="market", symbols=["ETH"])
        snapshot = await reader.next(op="data")
        assert [row["id"] for row in snapshot["data"]] == ["ethereum"]
        assert repr(served.broadcaster) == "<Broadcaster 1 clients, 1 feeds>"
        await reader.say(op="subscribe", channel="market", symbols=["ETH"])
        assert (await reader.next(op="data"))["type"] == "snapshot"


async def test_single_candle_series_can_be_unsubscribed(served: Served) -> None:
    async with served.reader("?channels=ohlc&symbols=BTC,ETH&interval=1h") as reader:
        await reader.say(op="unsubscribe", channel="ohlc", symbols=["bitcoin"], interval="1h")
        await reader.next(op="unsubscribed")
        assert repr(served.broadcaster) == "<Broadcaster 1 clients, 1 feeds>"
        await reader.say(op="unsubscribe", channel="ohlc")
        await reader.next(op="unsubscribed")
        assert repr(served.broadcaster) == "<Broadcaster 1 clients, 0 feeds>"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("this is no JSON", "bad_frame"),
        ("[1, 2]", "bad_frame"),
        ("", "bad_frame"),
        ("[" * 10_000, "bad_frame"),
        (b"\x00\xff\x00", "bad_frame"),
        ("{}", "unknown_op"),
        ('{"op":"dance"}', "unknown_op"),
        ('{"op":["subscribe"]}', "unknown_op"),
        ('{"op":"subscribe"}', "unknown_channel"),
        ('{"op":"subscribe","channel":"weather"}', "unknown_channel"),
        ('{"op":"unsubscribe","channel":7}', "unknown_channel"),
        ('{"op":"subscribe","channel":"market","symbols":"BTC"}', "invalid_parameter"),
        ('{"op":"subscribe","channel":"market","symbols":[]}', "invalid_parameter"),
        ('{"op":"subscribe","channel":"market","symbols":[7]}', "invalid_parameter"),
        ('{"op":"subscribe","channel":"market","symbols":["NOSUCHCOIN"]}', "unknown_symbol"),
        ('{"op":"subscribe","channel":"gas","symbols":["BTC"]}', "invalid_parameter"),
        ('{"op":"subscribe","channel":"gas","interval":"1h"}', "invalid_parameter"),
        ('{"op":"subscribe","channel":"ohlc"}', "invalid_parameter"),
        ('{"op":"subscribe","channel":"ohlc","symbols":["BTC"]}', "invalid_parameter"),
        (
            '{"op":"subscribe","channel":"ohlc","symbols":["BTC"],"interval":"7h"}',
            "invalid_parameter",
        ),
        (f'{{"op":"subscribe","channel":"ohlc","interval":{DEEP}}}', "invalid_parameter"),
        (f'{{"op":"unsubscribe","channel":"gas","symbols":{DEEP}}}', "invalid_parameter"),
        ('{"op":"ping","id":{"a":1}}', "invalid_parameter"),
        ('{"op":"ping","id":1e400}', "bad_frame"),
        ('{"op":"ping","id":99999999999999999999}', "invalid_parameter"),
    ],
)
async def test_a_bad_frame_gets_an_error_and_the_connection_stays(
    served: Served, said: str | bytes, code: str
) -> None:
    async with served.reader() as reader:
        await reader.connection.send(said)
        received = await reader.next(op="error")
        assert (received["code"], received["id"]) == (code, None)
        assert received["message"]
        await reader.say(op="ping", id=1)
        assert (await reader.next(op="pong"))["id"] == 1


async def test_an_error_has_the_commands_id_and_suggestions(served: Served) -> None:
    async with served.reader() as reader:
        await reader.say(op="subscribe", id=4, channel="market", symbols=["bitcoinn"])
        received = await reader.next(op="error")
    assert (received["id"], received["code"]) == (4, "unknown_symbol")
    assert "bitcoin" in received["message"].partition("did you mean")[2]


@pytest.mark.parametrize(
    "query", ["?channels=weather", "?channels=ohlc&symbols=BTC", "?channels=market&symbols=NOSUCH"]
)
async def test_an_invalid_query_gets_an_error_and_the_connection_stays(
    served: Served, query: str
) -> None:
    async with served.reader(query) as reader:
        await reader.next(op="error")
        await reader.say(op="ping")
        await reader.next(op="pong")


@pytest.mark.parametrize(
    ("query", "code", "received"),
    [
        ("?channel=market", "unknown_parameter", "did you mean channels"),
        ("?channels=market&symbol=BTC", "unknown_parameter", "allowed: channels, symbols, inter"),
        ("?channels=market&symbols=", "invalid_parameter", "symbols: must not be empty"),
        ("?channels=market&symbols=,", "invalid_parameter", "symbols is empty"),
        ("?channels=,", "unknown_channel", "channels is empty"),
        ("?channels=gas&symbols=BTC", "invalid_parameter", "symbols need one of the channels"),
        ("?symbols=BTC", "invalid_parameter", "symbols need one of the channels"),
        ("?channels=market&interval=1h", "invalid_parameter", "interval needs the channel ohlc"),
    ],
)
async def test_no_query_parameter_is_ignored(
    served: Served, query: str, code: str, received: str
) -> None:
    async with served.reader(query) as reader:
        error = await reader.next(op="error")
    assert error["code"] == code
    assert received in error["message"]


async def test_a_message_that_is_too_large_closes_the_connection(served: Served) -> None:
    async with served.reader() as reader:
        await reader.connection.send("x" * 1_000_000)
        assert await close_code(reader) == 1009
    async with served.reader() as reader:  # the server itself would take this one
        await reader.connection.send("{" + " " * (MAX_FRAME_BYTES - 2) + "}")
        assert (await reader.next(op="error"))["code"] == "unknown_op"


async def test_a_client_that_sends_too_fast_is_warned_and_then_closed(served: Served) -> None:
    async with served.reader() as reader:
        for number in range(1_000):
            try:
                await reader.say(op="subscribe", id=number, channel="gas")
            except ConnectionClosed:
                break
        assert await close_code(reader) == 1008
    codes = {frame.get("code") for frame in reader.seen if frame["op"] == "error"}
    assert codes == {"rate_limited"}
    accepted = [frame for frame in reader.seen if frame["op"] == "subscribed"]
    assert MESSAGES_PER_S <= len(accepted) < 100


async def test_the_topics_of_a_client_are_bounded(served: Served) -> None:
    names = ",".join(f"C{number}" for number in range(MAX_TOPICS + 1))
    async with served.reader(f"?channels=ohlc&symbols={names}&interval=1h") as reader:
        assert (await reader.next(op="error"))["code"] == "too_many_topics"
        assert repr(served.broadcaster) == "<Broadcaster 1 clients, 0 feeds>"


async def test_one_client_too_many_is_closed_with_1013(serve_stream: ServeStream) -> None:
    async with serve_stream(WS_MAX_CLIENTS="1") as served, served.reader() as first:
        await first.next(op="hello")
        async with served.reader() as second:
            assert await close_code(second) == 1013
        refused = await served.get("/api/stream")
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_clients")
        assert refused.headers["retry-after"] == "5"
        await first.say(op="ping")
        await first.next(op="pong")


async def test_without_subscriptions_no_provider_is_called(world: World, served: Served) -> None:
    async with served.reader() as reader:
        await reader.next(op="hello")
        assert sum(world.calls.values()) == 0
        await reader.say(op="subscribe", channel="gas")
        await reader.next(op="data")
        assert dict(world.calls) == {"ethereum_rpc": 1}


async def test_status_counts_clients_and_frames(served: Served) -> None:
    async def counted() -> dict[str, Any]:
        received: dict[str, Any] = (await served.get("/api/status")).json()["websocket"]
        return received

    async with served.reader("?channels=gas") as reader:
        await reader.next(op="data")
        assert await counted() == {"clients": 1, "messages_sent": 3, "dropped": 0}
    while (await counted())["clients"]:
        pass


async def test_single_symbols_of_the_market_cannot_be_unsubscribed(served: Served) -> None:
    async with served.reader("?channels=market&symbols=BTC,ETH") as reader:
        await reader.next(op="data")
        await reader.say(op="unsubscribe", id=3, channel="market", symbols=["BTC"])
        received = await reader.next(op="error")
        assert (received["id"], received["code"]) == (3, "invalid_parameter")
        assert repr(served.broadcaster) == "<Broadcaster 1 clients, 1 feeds>"


async def test_two_coins_with_the_same_ticker_are_distinguished(served: Served) -> None:
    query = "?channels=ohlc&symbols=bitcoin,fake-bitcoin&interval=4h"
    async with served.reader(query) as reader:
        received: set[str] = set()
        while received != {"bitcoin", "fake-bitcoin"}:  # data of the first, an error of the second
            frame = await reader.next(channel="ohlc", symbol="BTC")
            received.add(frame["id"] if frame["op"] != "error" else "fake-bitcoin")
        await reader.say(op="unsubscribe", channel="ohlc", symbols=["fake-bitcoin"])
        assert (await reader.next(op="unsubscribed"))["symbols"] == ["BTC"]
        assert repr(served.broadcaster) == "<Broadcaster 1 clients, 1 feeds>"
