"""Updates: ticks and refreshes reach every client, and lead to what REST answers."""

import asyncio
from pathlib import Path
from typing import Any

from tests.api.stream.client import Reader, Served, until
from tests.api.stream.conftest import ServeStream
from tests.world.push import PushWorld, candle_told, mini_ticker, now_ms
from tests.world.server import World

HOUR_MS = 3_600_000
CANDLES = "?channels=ohlc&symbols=BTC&interval=1h"


async def test_a_tick_reaches_all_clients_and_rest(served: Served, push: PushWorld) -> None:
    async with (
        served.reader("?channels=market") as all_of,
        served.reader("?channels=market&symbols=BTC") as one,
        served.reader("?channels=market&symbols=ETH") as other,
    ):
        for reader in (all_of, one, other):
            await reader.next(op="data", type="snapshot")
        await push.until_open()
        await push.tell_tickers([mini_ticker("BTCUSDT", 51_000.0), mini_ticker("C1USDT", 2.1)])
        updates = [await reader.next(op="data") for reader in (all_of, one)]
        await other.nothing(0.2, op="data")
        rest = (await served.get("/api/market?limit=250")).json()
    assert [update["type"] for update in updates] == ["update"] * 2
    assert [[row["symbol"] for row in update["data"]] for update in updates] == [
        ["BTC", "C1"],
        ["BTC"],
    ]
    bitcoin = updates[0]["data"][0]
    assert (bitcoin["price"], bitcoin["source"]) == (51_000.0, "binance")
    assert (bitcoin["price_change_24h"], bitcoin["price_change_percentage_24h"]) == (1_000.0, 2.0)
    assert bitcoin in rest["data"]
    assert rest["meta"] == updates[0]["meta"]


async def test_a_tick_of_a_namesake_changes_nothing(served: Served, push: PushWorld) -> None:
    async with served.reader("?channels=market") as reader:
        await reader.next(op="data")
        await push.until_open()
        await push.tell_tickers([mini_ticker("NAMEUSDT", 900.0), mini_ticker("BTCUSDT", 51_000.0)])
        update = await reader.next(op="data")
    assert [row["id"] for row in update["data"]] == ["bitcoin"]


async def test_a_venue_that_pushes_does_not_fill_the_rotation_log(
    serve_stream: ServeStream, push: PushWorld
) -> None:
    async with serve_stream() as served, served.reader("?channels=market") as reader:
        await reader.next(op="data")
        await push.until_open()
        begun_ms = now_ms()
        for number in range(100):
            row = mini_ticker("BTCUSDT", 51_000.0 + number, E=begun_ms + number)
            await push.tell_tickers([row])
        while (await reader.next(op="data"))["data"][0]["price"] != 51_099.0:
            pass
        status = (await served.get("/api/status")).json()
    assert [choice["provider"] for choice in status["rotation"]] == ["coingecko_free"]
    assert status["ticks"]["state"] == "live"
    assert status["ticks"]["provider"] == "binance"


async def test_many_clients_cost_the_calls_of_one(served: Served, world: World) -> None:
    async with asyncio.TaskGroup() as group:

        async def read() -> None:
            async with served.reader("?channels=market,gas&symbols=BTC") as reader:
                await reader.next(channel="gas", op="data")

        for _ in range(50):
            group.create_task(read())
    assert dict(world.calls) == {"coingecko_free": 1, "ethereum_rpc": 1}


async def test_the_connection_to_the_venue_ends_with_the_last_subscription(
    served: Served, push: PushWorld
) -> None:
    async with served.reader("?channels=gas") as reader:
        await reader.next(op="data")
        assert push.sessions == []
        await reader.say(op="subscribe", channel="market")
        await push.until_open()
        await reader.say(op="unsubscribe", channel="market")
        await push.until_closed()


async def test_candle_ticks_update_the_forming_candle(served: Served, push: PushWorld) -> None:
    async with served.reader(CANDLES) as reader:
        snapshot = await reader.next(op="data")
        open_ms = snapshot["data"][-1]["timestamp"]
        await push.until_asked("btcusdt@kline_1h")
        await push.tell_candle(candle_told("BTCUSDT", "1h", open_ms, 50_600.0))
        changed = await reader.next(op="data")
        assert (changed["type"], changed["symbol"], len(changed["data"])) == ("update", "BTC", 1)
        assert (changed["data"][0]["close"], changed["data"][0]["closed"]) == (50_600.0, False)
        await push.tell_candle(candle_told("BTCUSDT", "1h", open_ms, 50_700.0, closed=True))
        assert (await reader.next(op="data"))["data"][0]["closed"] is True
        await push.tell_candle(candle_told("BTCUSDT", "1h", open_ms + HOUR_MS, 50_710.0))
        added = await reader.next(op="data")
        rest = (await served.get("/api/market/ohlc?symbol=BTC&interval=1h")).json()
    assert added["data"][0]["timestamp"] == open_ms + HOUR_MS
    assert added["meta"]["count"] == 200
    assert rest["data"] == [*snapshot["data"][1:-1], *changed_rows(reader)]


def changed_rows(reader: Reader) -> list[dict[str, Any]]:
    """The last state of each candle that an update received."""
    updates = [frame for frame in reader.seen if frame.get("type") == "update"]
    rows = {row["timestamp"]: row for frame in updates for row in frame["data"]}
    return list(rows.values())


async def test_candles_are_not_polled_while_ticks_come_in(
    serve_stream: ServeStream, push: PushWorld, world: World
) -> None:
    async with serve_stream(CACHE_TTL_OHLC="0.6") as served, served.reader(CANDLES) as reader:
        open_ms = (await reader.next(op="data"))["data"][-1]["timestamp"]
        await push.until_asked("btcusdt@kline_1h")
        before = world.calls["binance"]
        for number in range(12):  # for twice the TTL
            row = candle_told("BTCUSDT", "1h", open_ms, 50_600.0 + number)
            await push.tell_candle(row)
            await asyncio.sleep(0.1)
        assert world.calls["binance"] == before
        await until(lambda: world.calls["binance"] != before)


async def test_feed_frames_announce_that_ticks_begin_and_end(
    served: Served, push: PushWorld
) -> None:
    async with served.reader("?channels=market") as reader:
        await reader.next(op="data")
        await push.until_open()
        await push.tell_tickers([mini_ticker("BTCUSDT", 51_000.0)])
        begun = await reader.next(op="feed")
        assert (begun["channel"], begun["feed"], begun["reason"]) == ("market", "ticks", None)
        await push.stop()
        ended = await reader.next(op="feed")
        assert (ended["feed"], ended["reason"]) == ("polled", "connect_error")
        async with served.reader("?channels=market") as late:
            assert (await late.next(op="feed"))["feed"] == "polled"
        assert ((await served.get("/api/status")).json())["ticks"]["state"] == "down"
        await push.start()
        await push.until_open()
        await push.tell_tickers([mini_ticker("BTCUSDT", 51_500.0)])
        assert (await reader.next(op="feed"))["feed"] == "ticks"


async def test_without_ticks_the_stream_continues_with_refreshes(
    serve_stream: ServeStream, push: PushWorld, world: World
) -> None:
    push.status = 451
    quick = {"CACHE_TTL_MARKET": "0.5"}
    async with serve_stream(**quick) as served, served.reader("?channels=market") as reader:
        await reader.next(op="data", type="snapshot")
        received = await reader.next(op="feed")
        assert (received["feed"], received["reason"]) == ("polled", "geo_blocked")
        update = await reader.next(op="data")
    assert update["type"] == "update"
    assert update["meta"]["source"] in {"coingecko_free", "binance"}
    assert world.overruns == []
    assert len(push.paths) == 1  # a blocked address is not retried soon


async def test_status_frames_announce_stale_and_live(
    serve_stream: ServeStream, world: World
) -> None:
    quick = {"CACHE_TTL_GAS": "0.3", "COOLDOWN": "0.5", "COOLDOWN_MAX": "0.5"}
    async with serve_stream(**quick) as served, served.reader("?channels=gas") as reader:
        await reader.next(op="data")
        world.faults |= dict.fromkeys(("ethereum_rpc", "ethereum_rpc_second"), "http500")
        stale = await reader.next(op="status")
        assert (stale["channel"], stale["state"]) == ("gas", "stale")
        assert stale["reason"] in {"upstream_5xx", "cooldown"}
        world.faults.clear()
        live = await reader.next(op="status")
        assert (live["state"], live["reason"]) == ("live", None)


async def test_content_that_rest_refuses_is_announced_as_expired(
    serve_stream: ServeStream, world: World
) -> None:
    quick = {"CACHE_TTL_GAS": "0.3", "MAX_STALE_GAS": "1", "COOLDOWN": "0.5", "COOLDOWN_MAX": "0.5"}
    async with serve_stream(**quick) as served, served.reader("?channels=gas") as reader:
        await reader.next(op="data")
        world.faults |= dict.fromkeys(("ethereum_rpc", "ethereum_rpc_second"), "http500")
        await reader.next(op="status", state="expired")
        async with served.reader("?channels=gas") as late:
            assert (await late.next(op="error"))["code"] == "all_providers_failed"
            assert (await late.next(op="status"))["state"] == "expired"
        world.faults.clear()
        assert (await reader.next(op="data"))["type"] == "snapshot"
        assert (await reader.next(op="status"))["state"] == "live"


async def test_the_status_is_sent_as_soon_as_a_provider_fails(
    serve_stream: ServeStream, world: World
) -> None:
    """The interval is 5 s; a test of this length has one such frame at most."""
    async with serve_stream(CACHE_TTL_GAS="0.3") as served, served.reader("?channels=gas") as gas:
        await gas.next(op="data")
        async with served.reader("?channels=status") as reader:
            await reader.next(op="data")
            world.faults |= dict.fromkeys(("ethereum_rpc", "ethereum_rpc_second"), "http500")
            async with asyncio.timeout(4.0):
                while state_of(await reader.next(op="data"), "ethereum_rpc") != "cooldown":
                    pass


def state_of(frame: dict[str, Any], provider: str) -> str:
    states = {row["name"]: str(row["status"]) for row in frame["data"]["providers"]}
    return states[provider]


async def test_an_unavailable_topic_gives_an_error_and_its_data_later(
    serve_stream: ServeStream, world: World
) -> None:
    world.faults["ethereum_rpc"] = "http500"
    quick = {"COOLDOWN": "0.5", "COOLDOWN_MAX": "0.5"}
    async with serve_stream(**quick) as served, served.reader("?channels=gas") as reader:
        received = await reader.next(op="error")
        assert (received["code"], received["channel"]) == ("all_providers_failed", "gas")
        assert (await reader.next(op="status"))["state"] == "stale"
        async with served.reader("?channels=gas") as late:
            assert (await late.next(op="error"))["code"] == "all_providers_failed"
        world.faults.clear()
        assert (await reader.next(op="data"))["type"] == "snapshot"
        assert (await reader.next(op="status"))["state"] == "live"
    assert len([frame for frame in reader.seen if frame["op"] == "error"]) == 1


async def test_a_refresh_without_a_change_is_an_update_without_rows(
    serve_stream: ServeStream,
) -> None:
    quick = {"CACHE_TTL_SENTIMENT": "0.3"}
    async with serve_stream(**quick) as served, served.reader("?channels=sentiment") as reader:
        first = await reader.next(op="data")
        second = await reader.next(op="data")
    assert (second["type"], second["data"], second["seq"]) == ("update", [], 2)
    assert second["meta"]["fetched_at"] > first["meta"]["fetched_at"]


async def test_malformed_ticks_change_nothing_and_end_the_connection(
    served: Served, push: PushWorld, tmp_path: Path
) -> None:
    async with served.reader("?channels=market") as reader:
        await reader.next(op="data")
        await push.until_open()
        row = mini_ticker("BTCUSDT", 51_000.0)
        junk: list[Any] = [
            "no JSON",
            {"stream": "!miniTicker@arr", "data": [{**row, "c": "NaN"}]},
            {"stream": "!miniTicker@arr", "data": [{**row, "c": "-1"}]},
            {"stream": "!miniTicker@arr", "data": [{**row, "E": now_ms() - 86_400_000}]},
            {"stream": "!miniTicker@arr", "data": 7},
        ]
        for frame in junk:
            await push.tell(frame)
        await push.until_closed()
        await push.until_open()
        await push.tell_tickers([row])
        update = await reader.next(op="data")
    assert [row["price"] for row in update["data"]] == [51_000.0]


async def test_a_candle_that_closed_during_a_refresh_stays_closed(
    serve_stream: ServeStream, push: PushWorld, world: World
) -> None:
    async with serve_stream(CACHE_TTL_OHLC="1") as served, served.reader(CANDLES) as reader:
        open_ms = (await reader.next(op="data"))["data"][-1]["timestamp"]
        await push.until_asked("btcusdt@kline_1h")
        world.delay_s, before = 0.5, world.calls["binance"]
        while world.calls["binance"] == before:  # a refresh has begun
            await asyncio.sleep(0.01)
        await push.tell_candle(candle_told("BTCUSDT", "1h", open_ms, 50_777.0, closed=True))
        assert (await reader.next(op="data"))["data"][0]["closed"] is True
        await asyncio.sleep(0.6)  # the refresh has landed, with the candle as it was before
        await push.tell_candle(candle_told("BTCUSDT", "1h", open_ms + HOUR_MS, 50_780.0))
        async with asyncio.timeout(5):
            while not any(row["timestamp"] > open_ms for row in changed_rows(reader)):
                await reader.next(op="data")
        rows = {row["timestamp"]: row for row in changed_rows(reader)}
    assert (rows[open_ms]["close"], rows[open_ms]["closed"]) == (50_777.0, True)


async def test_the_usdt_pair_gives_the_price_even_if_another_pair_is_later(
    served: Served, push: PushWorld
) -> None:
    async with served.reader("?channels=market&symbols=BTC") as reader:
        await reader.next(op="data")
        await push.until_open()
        for number in range(3):
            rows = [mini_ticker("BTCUSDT", 51_000.0 + number), mini_ticker("BTCUSDC", 52_000.0)]
            await push.tell_tickers(rows)
            update = await reader.next(op="data")
            assert update["data"][0]["price"] == 51_000.0 + number
            await asyncio.sleep(0.01)
