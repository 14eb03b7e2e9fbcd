"""D1, D2: questions that cost providers' calls or our time."""

import asyncio
import json
import random
from contextlib import suppress
from itertools import cycle

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.attacks.attack import Tally
from tests.attacks.cost.scene import ATTACKER, BUDGETED, READERS, SECOND_MS, SHARED, by
from tests.attacks.ground import Field
from tests.attacks.measure import reader_of
from tests.world import data


@SHARED.attack(
    "D1",
    "275 ranges of 10,000 candles from one address",
    loss="another address's candles that are no 200; a call over a provider's limit",
)
async def dear_ranges(field: Field, tally: Tally) -> None:
    now_s = int(field.world.now_s)
    statuses: list[int] = []

    async def ask(number: int) -> None:
        start = now_s - 60 * (9_900 - number)
        query = f"symbol=C{number % 50}&interval=1m&start={start}&end={start + 590_000}"
        answer = await field.gateway.client.get(f"/api/market/ohlc?{query}", headers=by(ATTACKER))
        statuses.append(answer.status_code)

    for number in range(0, tally.times(275, 40), 5):
        await asyncio.gather(*(ask(number + one) for one in range(5)))
    tally.tries += len(statuses)
    spent = field.world._used("binance", 60.0)
    tally.note(
        f"{statuses.count(200)} were answered, {statuses.count(429)} refused; "
        f"{spent} of Binance's weight of 6,000 spent"
    )
    await others_read_candles(field, tally)


async def others_read_candles(field: Field, tally: Tally) -> None:
    for symbol, interval in (("ETH", "5m"), ("BTC", "1d"), ("C51", "1h"), ("C52", "4h")):
        path = f"/api/market/ohlc?symbol={symbol}&interval={interval}&limit=50"
        answer = await field.gateway.client.get(path, headers=by(READERS))
        tally.expect(answer.status_code == 200, f"another's candles: {answer.status_code}")
    tally.losses += [f"over a limit: {one}" for one in field.world.overruns]
    field.world.overruns.clear()


@SHARED.attack(
    "D1",
    "192 subscriptions to 15 series each, and back, from one address",
    loss="over 300 calls for it, another address's candles that are no 200",
)
async def subscription_storm(field: Field, tally: Tally) -> None:
    before = field.world.calls["binance"]
    address = f"ws://127.0.0.1:{field.gateway.port}/ws"
    made = random.Random(15)
    with suppress(ConnectionClosed, InvalidStatus):
        async with connect(
            address, proxy=None, max_size=2**24, additional_headers=by("203.0.113.77")
        ) as connection:
            drain = asyncio.create_task(drained(connection))
            for number in range(tally.times(192, 25)):
                coins = made.sample([f"C{n}" for n in range(60)], 15)
                said = {
                    "channel": "ohlc",
                    "symbols": coins,
                    "interval": made.choice(["1m", "5m", "1h", "4h", "1d"]),
                }
                await connection.send(json.dumps({"op": "subscribe", "id": number, **said}))
                await connection.send(json.dumps({"op": "unsubscribe", "id": number, **said}))
                tally.tries += 2
                await asyncio.sleep(0.02 if tally.is_quick else 0.05)
            await asyncio.sleep(0.5)
            drain.cancel()
            await asyncio.gather(drain, return_exceptions=True)
    calls = field.world.calls["binance"] - before
    tally.note(f"{calls} calls")
    tally.expect(calls <= 300, f"{calls} calls of one reader")
    await others_read_candles(field, tally)


async def drained(connection: object) -> None:
    with suppress(ConnectionClosed):
        async for _ in connection:  # type: ignore[attr-defined]
            pass


@SHARED.attack(
    "D1",
    "10,000 rows as CSV again and again, each time another question",
    loss="another reader who waits over a second",
)
async def dear_answers(field: Field, tally: Tally) -> None:
    now_s = int(field.world.now_s)
    address = "203.0.113.50"
    async with reader_of(field.gateway, "/api/gas", f"X-Forwarded-For: {READERS}") as waits:
        for number in range(tally.times(60, 6)):
            query = (
                f"symbol=BTC&interval=1m&start={now_s - 234_000 - number}&end={now_s}&format=csv"
            )
            await field.gateway.client.get(f"/api/market/ohlc?{query}", headers=by(address))
            tally.tries += 1
    waits.judge(tally, SECOND_MS)


#: A second time these questions are to be cold again.
INTERVALS = cycle((("1h", "1d"), ("5m", "4h"), ("1m",)))


@SHARED.attack(
    "D",
    "100 cold questions at once, each for another series",
    loss="a reader of what is known who waits over a second; a call over a provider's limit",
)
async def cold_questions(field: Field, tally: Tally) -> None:
    async with reader_of(field.gateway, "/api/gas", f"X-Forwarded-For: {READERS}") as waits:
        coins = [f"C{n}" for n in range(tally.times(50, 12))]
        intervals = next(INTERVALS)
        paths = [
            f"/api/market/ohlc?symbol={coin}&interval={one}&limit=9"
            for coin in coins
            for one in intervals
        ]
        await asyncio.gather(
            *(field.gateway.client.get(path, headers=by("203.0.113.51")) for path in paths),
            return_exceptions=True,
        )
    tally.tries += len(paths)
    waits.judge(tally, SECOND_MS)
    tally.losses += [f"over a limit: {one}" for one in field.world.overruns]


async def market_ttl_s(field: Field) -> float:
    status = (await field.gateway.client.get("/api/status")).json()
    return float(status["categories"]["market"]["ttl_effective_seconds"])


@BUDGETED.attack(
    "D2",
    "40 different series of candles, each asked once",
    loss="a market that is renewed less than half as often as before",
)
async def once_asked(field: Field, tally: Tally) -> None:
    client = field.gateway.client
    for _ in range(3):
        await client.get("/api/market?limit=1")
    before_s = await market_ttl_s(field)
    names = [name for name, *_ in data.FAMOUS]
    statuses = []
    for interval in ("30m", "1h", "2h", "4h", "8h", "12h", "1d")[: tally.times(7, 6)]:
        for name in names:
            answer = await client.get(f"/api/market/ohlc?symbol={name}&interval={interval}&limit=5")
            statuses.append(answer.status_code)
    tally.tries += len(statuses)
    after_s = await market_ttl_s(field)
    tally.note(
        f"the market is renewed each {before_s:.0f} s before, each {after_s:.0f} s afterwards"
    )
    tally.expect(after_s <= 2 * before_s, f"from {before_s:.0f} s to {after_s:.0f} s")
