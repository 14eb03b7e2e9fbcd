"""B, D5: what a venue pushes by itself, and what is remembered of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import connect

from tests.api.stream.client import Reader
from tests.attacks.attack import Tally
from tests.attacks.ground import Field
from tests.attacks.measure import holdings, until_back
from tests.attacks.providers import rewritten
from tests.attacks.values.scene import asked, attack
from tests.world.push import PushWorld, mini_ticker

JUNK_FRAMES = (
    "",
    "{",
    "[]",
    "null",
    "[" * 50_000,
    '{"stream": 7, "data": []}',
    '{"stream": "!miniTicker@arr", "data": null}',
    '{"stream": "!miniTicker@arr", "data": [null, 7, "x", [], {}, {"s": null}]}',
    '{"stream": "!miniTicker@arr", "data": [{"E": 1e400, "s": "BTCUSDT", "c": "NaN"}]}',
    '{"stream": "btcusdt@kline_1h", "data": {"k": {"t": -1, "s": "BTCUSDT", "i": "9z"}}}',
    '{"stream": "\\ud83d", "data": {"e": "\\ud83d"}}',
    '{"result": null, "id": 99}',
    '{"error": {"code": 2, "msg": "x"}, "id": null}',
)


@attack(
    "B",
    "junk pushed by Binance's stream: half a frame, lists 50,000 deep, NaN, other pairs, 3 MB",
    loss="a good tick behind it that does not come within 8 s, a market that is no 200",
)
async def junk_pushed(field: Field, tally: Tally) -> None:
    async with following(field) as (push, reader):
        for number, text in enumerate((*JUNK_FRAMES, '["' + "x" * 3_000_000 + '"]')):
            await push.tell(text)
            tally.tries += 1
            price = 50_100.0 + number
            came = False
            for _ in range(3):  # after a frame that ended the stream it is opened again
                with suppress(TimeoutError):
                    await push.until_asked("!miniTicker@arr")
                await push.tell_tickers([mini_ticker("BTCUSDT", price)])
                came = await until_price(reader, price)
                if came:
                    break
            tally.expect(came, f"no tick behind {text[:40]!r}")
        answer = await field.gateway.client.get("/api/market?limit=250")
        tally.expect(answer.status_code == 200, f"the market: {answer.status_code}")


async def until_price(reader: Reader, price: float) -> bool:
    try:
        async with asyncio.timeout(8):
            while True:
                frame = await reader.next(op="data", channel="market")
                if any(row["price"] == price for row in frame["data"]):
                    return True
    except TimeoutError:
        return False


@asynccontextmanager
async def following(field: Field) -> AsyncIterator[tuple[PushWorld, Reader]]:
    """Somebody follows the market, so the venue's stream is open."""
    assert field.push is not None
    address = f"ws://127.0.0.1:{field.gateway.port}/ws?channels=market"
    async with connect(address, proxy=None, max_size=2**24, close_timeout=0.2) as connection:
        reader = Reader(connection)
        await reader.next(op="data", type="snapshot")
        await field.push.until_open()
        await field.push.until_asked("!miniTicker@arr")
        yield field.push, reader


@attack(
    "D5",
    "ticks of 50,000 pairs that nobody lists, lists of ever new coins at leaping prices",
    loss="over 32 MB for them, another reader's answer that is no 200",
)
async def ever_new_names(field: Field, tally: Tally) -> None:
    before = holdings(field.gateway)
    async with following(field) as (push, reader):
        for block in range(tally.times(50, 4)):
            names = (f"N{block * 1_000 + number}USDT" for number in range(1_000))
            await push.tell_tickers([mini_ticker(name, 2.0) for name in names])
            tally.tries += 1_000
        await push.tell_tickers([mini_ticker("BTCUSDT", 50_444.0)])
        tally.expect(await until_price(reader, 50_444.0), "no tick behind them")
    for block in range(tally.times(40, 4)):

        def renamed(rows: Any, block: int = block) -> None:
            for number, row in enumerate(rows[50:250]):
                row["id"] = f"new-{block // 2}-{number}"
                factor = 3.0 if block % 2 else 1.0
                for name in ("current_price", "high_24h", "low_24h", "market_cap"):
                    row[name] *= factor

        answer = await asked(field, "coingecko_free", rewritten(renamed))
        tally.tries += 200
        tally.expect(answer.status_code == 200, f"the market: {answer.status_code}")
    await until_back(field.gateway, before, tally, within_s=2)
