"""B7: pairs are cut where their reader cut them."""

from websockets.asyncio.client import connect

from tests.api.stream.client import Reader
from tests.attacks.attack import Tally
from tests.attacks.ground import Field
from tests.attacks.values.scene import attack


@attack(
    "B7",
    "`CAT-USD`, `BTCB/USD`, `CATUSD`: symbols that end in the first letter of a longer quote",
    loss="another coin's figures; an ambiguous pair that does not say so",
)
async def pairs(field: Field, tally: Tally) -> None:
    client = field.gateway.client
    for symbol, wanted in (("CAT", "cat-coin"), ("BTCB", "btcb-coin"), ("CA", "ca-coin")):
        for mark in ("-", "/", "_", ":"):
            for quote in ("USD", "USDT"):
                text = f"{symbol}{mark}{quote}"
                answer = await client.get(f"/api/market/{text.replace('/', '%2F')}")
                rows = await client.get("/api/market", params={"symbols": text})
                tally.tries += 2
                told = answer.json().get("data", {}).get("id")
                tally.expect(told == wanted, f"{text} is {told or answer.status_code}")
                told = [row["id"] for row in rows.json().get("data", [])]
                tally.expect(told == [wanted], f"symbols={text} are {told}")
    for text in ("CATUSD", "BTCBUSD"):
        body = (await client.get(f"/api/market/{text}")).json()
        tally.tries += 1
        warnings = body.get("meta", {}).get("warnings", [])
        tally.expect(
            any("ambiguous" in one or "read as" in one for one in warnings),
            f"{text} is not said to be ambiguous",
        )
    answer = await client.get("/api/market/ohlc?symbol=BTCB-USD&interval=4h&limit=3")
    closes = [row["close"] for row in answer.json().get("data", [])]
    tally.tries += 1
    tally.expect(all(close < 100 for close in closes), f"BTCB-USD: candles at {closes}")
    await stream_of_pair(field, tally)


async def stream_of_pair(field: Field, tally: Tally) -> None:
    address = f"ws://127.0.0.1:{field.gateway.port}/ws?channels=market&symbols=BTCB-USD"
    async with connect(address, proxy=None) as connection:
        frame = await Reader(connection).next(op="data", type="snapshot")
    tally.tries += 1
    told = [row["id"] for row in frame["data"]]
    tally.expect(told == ["btcb-coin"], f"the stream of BTCB-USD shows {told}")
