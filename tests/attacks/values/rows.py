"""B2, B3, B9: one odd row among good ones, rows without measure, and what else was seen."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.attacks.attack import Tally
from tests.attacks.ground import Field
from tests.attacks.measure import holdings, reader_of, until_back
from tests.attacks.providers import Sent, Spoil, body_of, rewritten
from tests.attacks.reading import QUESTIONS
from tests.attacks.values.scene import LOSS, asked, attack, expect_taken
from tests.attacks.wire.scene import CATEGORY
from tests.world.messages import Reply, Request, encoded, json_reply


def with_row(place: str, row: Any) -> Spoil:
    """One more row in the list that stands at `place` (empty: the payload is the list)."""

    def change(payload: Any) -> None:
        rows = payload[place] if place else payload
        rows.insert(1, row(rows[0]) if callable(row) else row)

    return rewritten(change)


def without(name: str) -> Callable[[Any], Any]:
    return lambda row: {key: value for key, value in row.items() if key != name}


ODD_ROWS: dict[str, Any] = {
    "a null row": None,
    "a row that is a text": "x",
    "a row that is a list": [[]],
    "an empty row": {},
}
LISTS = {
    "coingecko_free": ("", "id"),
    "binance": ("", "symbol"),
    "cryptopanic": ("results", "title"),
    "newsapi": ("articles", "title"),
    "alternative_me": ("data", "timestamp"),
    "coinmarketcap": ("data", "timestamp"),
}


@attack(
    "B2", "one null row, one text, one list, one without a key, in every vendor's list", loss=LOSS
)
async def odd_rows(field: Field, tally: Tally) -> None:
    for name, (place, key) in LISTS.items():
        oddities = {**ODD_ROWS, f"a row without {key}": without(key)}
        for what, row in list(oddities.items())[:: tally.times(1, 4)]:
            path = "/api/sentiment?days=9" if CATEGORY.get(name) == "sentiment" else ""
            await expect_taken(field, tally, name, with_row(place, row), what, path)


@attack("B2", "one candle off the grid, one of zeros, one told twice, one null", loss=LOSS)
async def odd_candles(field: Field, tally: Tally) -> None:
    path = QUESTIONS["ohlc"][0]
    for name in ("binance", "coingecko_free"):
        for what, change in {
            "off the grid": lambda row: [row[0] + 61_000, *row[1:]],
            "zeros": lambda row: [row[0], *(type(row[1])(0) for _ in row[1:])],
            "told twice": lambda row: row,
            "null": lambda _row: None,
        }.items():

            def insert(rows: Any, change: Any = change) -> None:
                if isinstance(rows[0], list):  # else they are tickers
                    rows.insert(3, change(rows[2]))

            await asyncio.sleep(0.12)  # the rivals of the last one are eligible again
            await expect_taken(field, tally, name, rewritten(insert), f"a candle {what}", path)


@attack("B2", "a lone surrogate, `&#xD83D;&#xDE80;`, `&#x110000;` in one text", loss=LOSS)
async def odd_characters(field: Field, tally: Tally) -> None:
    def unread(payload: Any) -> None:
        rows = payload if isinstance(payload, list) else next(iter(payload.values()))
        rows = (
            rows if isinstance(rows, list) else payload["data" if "data" in payload else "articles"]
        )
        rows[0]["never_read"] = "\ud83d"

    for name in ("coingecko_free", "binance", "newsapi", "alternative_me", "coinmarketcap"):
        await expect_taken(field, tally, name, rewritten(unread), "a lone surrogate")
    for text in ("&#xD83D;&#xDE80;", "&#x110000;", "&#0;", "&#xFFFE;", "\ufffe"):

        def headline(body: bytes, text: str = text) -> bytes:
            return body.replace(b"<title>Bitcoin", f"<title>{text} Bitcoin".encode(), 1)

        await expect_taken(field, tally, "rss_coindesk", body_of(headline), repr(text))


# B3: sizes


@attack(
    "B3",
    "a list of 26 MB, 14,500 rows where 250 were asked, 14,500 days, 14,500 articles",
    loss="a reader of something else who waits over 1 s; memory that does not come back",
)
async def large_lists(field: Field, tally: Tally) -> None:
    before = holdings(field.gateway)
    many = (
        ("binance", rewritten(lambda rows: rows * 210)),
        ("coingecko_free", rewritten(lambda rows: rows * 58)),
        ("coingecko_free", rewritten(lambda rows: rows * 320)),
        ("coingecko_free", rewritten(lambda rows: [{**row, "x": "y" * 9_000} for row in rows])),
        ("alternative_me", rewritten(repeated("data", 14_500))),
        ("newsapi", rewritten(repeated("articles", 14_500))),
    )
    world = field.world
    async with reader_of(field.gateway, "/healthz", pace_s=0.02) as waits:
        for name, spoil in many[: tally.times(6, 2)]:
            await asked(field, name, spoil)
            tally.tries += 1
    waits.judge(tally, 1_000)
    world.spoilt, world.faults = {}, {}
    await until_back(field.gateway, before, tally, within_s=3, slack_mb=100)


def repeated(place: str, count: int) -> Callable[[Any], None]:
    def change(payload: Any) -> None:
        payload[place] = payload[place] * (count // len(payload[place]))

    return change


@attack(
    "B9",
    "Fear & Greed's newest day without a classification",
    loss="a day that is missing, or is said to be late",
)
async def unclassified_day(field: Field, tally: Tally) -> None:
    def change(payload: Any) -> None:
        payload["data"][0]["value_classification"] = None

    for name in ("alternative_me", "coinmarketcap"):
        answer = await expect_taken(
            field, tally, name, rewritten(change), "no classification", "/api/sentiment?days=4"
        )
        body = answer.json()
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        days = [row["timestamp"][:10] for row in body.get("data", [])]
        tally.expect(days[:1] == [today], f"{name}: the newest day is {days[:1]}")
        told = body.get("meta", {}).get("warnings", [])
        tally.expect(not any("not changed" in one for one in told), f"{name}: {told}")


@attack(
    "B9",
    "a node whose block goes back or stands still",
    loss="an older block that is served as fresh, without a word",
)
async def block_goes_back(field: Field, tally: Tally) -> None:
    world = field.world
    world.faults = {"etherscan": "http500"}
    good = await asked(field, "ethereum_rpc", None)
    height = good.json()["data"]["block"] or 0

    def moved(by: int) -> Spoil:
        def change(answers: Any) -> None:
            for one in answers:
                if isinstance(one["result"], dict):
                    one["result"]["oldestBlock"] = hex(int(one["result"]["oldestBlock"], 16) - by)

        return rewritten(change)

    for by in (8_000, 500, 2**40, -(2**60))[: tally.times(4, 3)]:
        answer = await asked(field, "ethereum_rpc", moved(by))
        body = answer.json()
        tally.tries += 1
        if answer.status_code == 200 and not body["meta"]["stale"]:
            told = body["data"]["block"] or 0
            is_said = bool(body["meta"]["warnings"])
            tally.expect(
                height <= told < height + 10_000 or is_said, f"block {told} after {height}"
            )
        await asyncio.sleep(1.1 if answer.status_code != 200 else 0.1)


@attack("B9", "a JSON body with a byte order mark", loss=LOSS)
async def byte_order_mark(field: Field, tally: Tally) -> None:
    for name in (
        "coingecko_free",
        "binance",
        "newsapi",
        "alternative_me",
        "etherscan",
        "ethereum_rpc",
    ):
        await expect_taken(
            field, tally, name, body_of(lambda body: b"\xef\xbb\xbf" + body), "a BOM"
        )


@attack(
    "B9",
    "a node that knows no batches",
    loss="a node that is refused although it answers one by one",
)
async def no_batches(field: Field, tally: Tally) -> None:
    def spoil(request: Request, reply: Reply) -> Sent:
        if isinstance(json.loads(request.body), list):
            error = {"code": -32600, "message": "batch requests are not supported"}
            return Sent(encoded(json_reply({"jsonrpc": "2.0", "error": error, "id": None})))
        return Sent(encoded(reply))

    await expect_taken(field, tally, "ethereum_rpc", spoil, "no batches")
