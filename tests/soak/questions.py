"""What the soak's readers ask, and which answers are right: all of the world's data is known."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.world.data import DAY, FAMOUS, HOUR

STEPS = {"1m": 60_000, "5m": 300_000, "1h": HOUR, "4h": 4 * HOUR, "1d": DAY}
#: Providers differ, and ticks move a price, by less than this; every fault's price is further off.
BAND = 0.05
PRICES = {symbol.upper(): price for _, symbol, _, price in FAMOUS}
#: The status and code of all that a reader may be told in place of data.
DOCUMENTED = {
    503: {"all_providers_failed", "quota_exhausted", "not_ready"},
    504: {"deadline_exceeded"},
}


class Wrong(Exception):
    """An answer that the gateway should never give."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Question:
    """`judge` gets the body's data of a success; `refusal` is the one right error, if there is."""

    path: str
    judge: Callable[[Any], None] | None = None
    refusal: tuple[int, str] | None = None
    #: Only a venue has it. While the venue's price does not confirm its pair, as on a day of wrong
    #: prices, nobody has it, and the error names what is available.
    is_of_venue: bool = False


def need(claim: bool, told: str) -> None:
    if not claim:
        raise Wrong(told)


def price_is_right(symbol: str, price: float) -> bool:
    """The world has one true price of each coin; unknown coins have any that is above zero."""
    known = PRICES.get(symbol)
    if known is None and symbol[0] == "C" and symbol[1:].isdigit():
        known = 1.0 + int(symbol[1:])
    return price > 0 if known is None else abs(price / known - 1) < BAND


def rows_are_right(rows: Any) -> None:
    need(bool(rows), "no rows")
    for row in rows:
        if row["id"] != "fake-bitcoin":
            need(price_is_right(row["symbol"], row["price"]), f"{row['symbol']} at {row['price']}")


def _candles(symbol: str, step_ms: int, limit: int) -> Callable[[Any], None]:
    def judge(candles: Any) -> None:
        opens = [candle["timestamp"] for candle in candles]
        need(0 < len(opens) <= limit, f"{len(opens)} candles of {limit}")
        need(opens == sorted(set(opens)), "candles out of order")
        need(all(at % step_ms == 0 for at in opens), "candles beside the grid")
        need(all(price_is_right(symbol, c["close"]) for c in candles), f"a wrong close of {symbol}")

    return judge


def _news_are_right(rows: Any) -> None:
    need(all(row["title"] and "<" not in row["title"] for row in rows), "a title with markup")


def _moods_are_right(rows: Any) -> None:
    need(bool(rows) and all(0 <= row["value"] <= 100 for row in rows), "no mood, or an absurd one")


def _gas_is_right(fees: Any) -> None:
    need(0 < fees["slow"] <= fees["average"] <= fees["fast"] < 10, f"gas {fees}")


def ask(chance: random.Random) -> Question:
    """Another question each time, in the proportions of a busy day."""
    kinds: list[tuple[int, Callable[[random.Random], Question]]] = [
        (30, _market),
        (10, _coin),
        (25, _ohlc),
        (8, _news),
        (6, _sentiment),
        (8, _gas),
        (5, _operation),
        (8, _refused),
    ]
    [make] = chance.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])
    return make(chance)


def _market(chance: random.Random) -> Question:
    offset, limit = chance.randrange(200), chance.choice([3, 10, 50])
    paths = (
        "/api/market",
        f"/api/market?limit={limit}&offset={offset}",
        "/api/market?symbols=BTC,ETH,C7",
        f"/api/market?sort=-price&limit={limit}",
    )
    return Question(chance.choice(paths), rows_are_right)


def _coin(chance: random.Random) -> Question:
    name = chance.choice(["BTC", "ethereum", "BTC-USD", "C12", f"C{chance.randrange(60)}"])
    return Question(f"/api/market/{name}", lambda row: rows_are_right([row]))


def _ohlc(chance: random.Random) -> Question:
    symbol = chance.choice(["BTC", "ETH", f"C{chance.randrange(60)}"])
    interval, limit = chance.choice(list(STEPS)), chance.choice([1, 24, 200, 1000])
    path = f"/api/market/ohlc?symbol={symbol}&interval={interval}&limit={limit}"
    is_of_venue = interval in ("1m", "5m")
    return Question(path, _candles(symbol, STEPS[interval], limit), is_of_venue=is_of_venue)


def _news(chance: random.Random) -> Question:
    paths = ("/api/news", "/api/news?symbols=BTC&limit=5", "/api/news?sentiment=positive")
    return Question(chance.choice(paths), _news_are_right)


def _sentiment(chance: random.Random) -> Question:
    return Question(f"/api/sentiment?days={chance.choice([1, 7, 30, 365])}", _moods_are_right)


def _gas(_chance: random.Random) -> Question:
    return Question("/api/gas", _gas_is_right)


def _operation(chance: random.Random) -> Question:
    paths = ("/api/status", "/api/status/explain?category=market", "/healthz", "/readyz")
    return Question(chance.choice((*paths, "/metrics", "/openapi.json", "/docs")))


def _refused(chance: random.Random) -> Question:
    """Nonsense that is another one each time: none of it may stay in the memory."""
    number = chance.randrange(10**9)
    wrong = (
        ("/api/market?limit=0", (422, "invalid_parameter")),
        (f"/api/market?limit=x{number}", (422, "invalid_parameter")),
        ("/api/market/ohlc?symbol=BTC&interval=7m", (422, "invalid_parameter")),
        (f"/api/market/nosuchcoin{number}", (404, "unknown_symbol")),
        (f"/api/market/ohlc?symbol=NOSUCH{number}", (404, "unknown_symbol")),
        (f"/wp-login{number}.php", (404, "not_found")),
    )
    path, refusal = chance.choice(wrong)
    return Question(path, refusal=refusal)


def judge(question: Question, answer: Answer, was_conditional: bool) -> str:
    """In one word what the answer was. Raises Wrong."""
    if answer.status == 304:
        need(was_conditional, "304 to a question without a condition")
        return "unchanged"
    if answer.status >= 400:
        return _judge_refusal(question, answer)
    need(answer.status == 200, f"status {answer.status}")
    need(question.refusal is None, "nonsense was answered")
    if question.judge is None:
        return "right"
    document = json.loads(answer.body)
    question.judge(document["data"])
    return _judge_age(document["meta"], answer.headers)


def _judge_age(meta: dict[str, Any], headers: dict[str, str]) -> str:
    is_stale = meta["stale"]
    need(is_stale == (meta["stale_reason"] is not None), "stale without a reason, or the reverse")
    need(is_stale == (headers["x-cache"] == "stale"), f"X-Cache {headers['x-cache']}")
    fetched, expires = (
        datetime.fromisoformat(meta[f"{when}_at"]) for when in ("fetched", "expires")
    )
    ttl_s = (expires - fetched).total_seconds()
    age_s = float(headers["age"])
    need(is_stale or age_s <= 2 * ttl_s + 5, f"{age_s} s old without a flag, fresh for {ttl_s} s")
    return "stale" if is_stale else "right"


def _judge_refusal(question: Question, answer: Answer) -> str:
    document = json.loads(answer.body) if answer.body else {}
    told = (answer.status, document.get("code"))
    if question.path == "/readyz" and answer.status == 503:
        return "unready"
    if question.refusal and told == question.refusal:
        return "refused"
    if question.is_of_venue and told == (422, "unsupported"):
        need(bool(document["available"]), "nothing is available")
        return "failed"
    need(document.get("code") in DOCUMENTED.get(answer.status, ()), f"{told} {document}")
    need(bool(document["detail"]), "an error without words")
    return "failed"
