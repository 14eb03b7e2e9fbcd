"""B1, B9: figures that arithmetic makes infinite, or that mean that nobody knows."""

from typing import Any

from tests.attacks.attack import Tally
from tests.attacks.ground import Field
from tests.attacks.providers import Spoil, rewritten
from tests.attacks.values.pushes import following, until_price
from tests.attacks.values.scene import LOSS, asked, attack, expect_taken, finite, outcome_of
from tests.world.push import mini_ticker


def odd_figures(**figures: float | None) -> Spoil:
    def change(rows: Any) -> None:
        row = next(row for row in rows if row.get("id", row.get("symbol")) in ("coin-7", "C7USDT"))
        row.update(
            figures if "id" in row else {name: repr(value) for name, value in figures.items()}
        )

    return rewritten(change)


@attack("B1", "a supply of 1.7e308, prices and volumes near the end of the floats", loss=LOSS)
async def huge_figures(field: Field, tally: Tally) -> None:
    for figures in (
        {"circulating_supply": 1.7e308, "market_cap": None},
        {"circulating_supply": 1e300, "market_cap": 1e308},
        {"circulating_supply": 5e-324},
        {"total_volume": 1.7e308},
        {"current_price": 1e308, "high_24h": 1e308, "low_24h": 1e308},
        {"price_change_24h": -1.7e308},
    )[: tally.times(6, 2)]:
        await read_market(field, tally, "coingecko_free", odd_figures(**figures), str(figures))
        await read_market(field, tally, "binance", None, f"Binance's turn after {figures}")
    for figures in ({"lastPrice": 1e308}, {"quoteVolume": 1.7e308}, {"priceChange": 1e308}):
        await read_market(field, tally, "binance", odd_figures(**figures), str(figures))
    await read_market(field, tally, "coingecko_free", None, "the last turn")


async def read_market(
    field: Field, tally: Tally, name: str, spoil: Spoil | None, what: str
) -> None:
    answer = await asked(field, name, spoil)
    tally.tries += 1
    tally.expect(answer.status_code == 200, f"{what}: {answer.status_code}")
    if answer.status_code == 200:
        tally.expect(finite(answer.content), f"{what}: a number that is none")
        tally.expect(answer.json()["meta"]["total"] >= 250, f"{what}: rows are lost")
        tally.expect(outcome_of(answer, name) == "ok", f"{what}: {outcome_of(answer, name)}")


@attack(
    "B1",
    "ticks of 1e308 and of a coin whose supply is 1.7e308",
    loss=f"a tick that stops the others; {LOSS}",
)
async def huge_ticks(field: Field, tally: Tally) -> None:
    spoil = odd_figures(circulating_supply=1.7e308, market_cap=None)
    await asked(field, "coingecko_free", spoil)
    async with following(field) as (push, reader):
        field.world.spoilt = {"coingecko_free": spoil}
        for price in (8.0, 1e308, 5e-324, 1e300)[: tally.times(4, 2)]:
            row = mini_ticker("C7USDT", 8.0)
            row |= {"c": repr(price), "h": repr(price), "q": "1.7e308"}
            await push.tell_tickers([row, mini_ticker("BTCUSDT", 50_900.0 + tally.tries)])
            tally.tries += 1
            told = await until_price(reader, 50_900.0 + tally.tries - 1)
            tally.expect(told, "a good tick beside an absurd one was lost")
        field.world.spoilt = {}
        answer = await field.gateway.client.get("/api/market?limit=250")
        tally.expect(answer.status_code == 200 and finite(answer.content), "the market is lost")


@attack("B9", "a supply of 0 beside a market cap of 0", loss="a supply of 0 that nobody told")
async def no_supply(field: Field, tally: Tally) -> None:
    spoil = odd_figures(circulating_supply=0.0, market_cap=0)
    answer = await expect_taken(field, tally, "coingecko_free", spoil, "supply 0")
    row = next(row for row in answer.json()["data"] if row["id"] == "coin-7")
    tally.expect(row["circulating_supply"] is None, f"a supply of {row['circulating_supply']}")
    tally.expect(row["market_cap"] is None, f"a market cap of {row['market_cap']}")
