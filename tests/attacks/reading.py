"""Readers that know what is right: they ask each category again and again while it is attacked."""

import asyncio
import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.attacks.attack import DEADLINE_S, Tally
from tests.life.process import Gateway
from tests.world import data, feeds

Judge = Callable[[Any, dict[str, Any]], str]

PRICES = {name: price for name, _, _, price in data.FAMOUS}
BITCOIN_USD = 49_000.0, 52_000.0


def _market(rows: Any, meta: dict[str, Any]) -> str:
    prices = {row["id"]: row["price"] for row in rows}
    bitcoin = prices.get("bitcoin")
    if bitcoin is None or not BITCOIN_USD[0] <= bitcoin <= BITCOIN_USD[1]:
        return f"bitcoin at {bitcoin}"
    wrong = [
        name
        for name, price in PRICES.items()
        if prices.get(name) and not 0.9 < prices[name] / price < 1.1
    ]
    return f"wrong prices of {wrong}" if wrong else ""


def _candles(rows: Any, _meta: dict[str, Any]) -> str:
    times = [row["timestamp"] for row in rows]
    closes = [row["close"] for row in rows]
    if times != sorted(set(times)) or any(at % (4 * data.HOUR) for at in times) or not times:
        return f"candles at {times}"
    if not all(BITCOIN_USD[0] <= close <= BITCOIN_USD[1] for close in closes):
        return f"closes {closes}"
    return ""


def _news(rows: Any, _meta: dict[str, Any]) -> str:
    wanted = {f"Bitcoin climbs on {name}" for name in feeds.PUBLISHERS}
    return "" if len(wanted & {row["title"] for row in rows}) >= 3 else "articles are missing"


def _sentiment(rows: Any, _meta: dict[str, Any]) -> str:
    return "" if rows and rows[0]["value"] in (20, 40) else f"a mood of {rows[:1]}"


def _gas(row: Any, _meta: dict[str, Any]) -> str:
    figures = row["slow"], row["average"], row["fast"]
    return "" if all(0.4 < figure < 0.8 for figure in figures) else f"gas of {figures}"


QUESTIONS: dict[str, tuple[str, Judge]] = {
    "market": ("/api/market?limit=250", _market),
    "ohlc": ("/api/market/ohlc?symbol=BTC&interval=4h&limit=5", _candles),
    "news": ("/api/news?limit=200", _news),
    "sentiment": ("/api/sentiment?days=2", _sentiment),
    "gas": ("/api/gas", _gas),
}


@dataclass
class Seen:
    """What readers got: how many answers, why some were not right, and how slow they were."""

    answers: int = 0
    wrong: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0
    warnings: set[str] = field(default_factory=set)
    last: dict[str, Any] = field(default_factory=dict)

    def tell(self, tally: Tally) -> None:
        tally.losses += self.wrong
        tally.note(f"{self.answers} answers meanwhile, the slowest after {self.slowest_ms:.0f} ms")


async def read_once(gateway: Gateway, category: str, seen: Seen, *, stale: bool = False) -> None:
    """One question. `stale`: an old answer that says so is right, too."""
    path, judge = QUESTIONS[category]
    began = time.perf_counter()
    wrong = ""
    try:
        answer = await gateway.client.get(path)
    except httpx.HTTPError as error:
        wrong = f"{category}: no answer ({type(error).__name__})"
    else:
        wrong = _why_wrong(category, answer, judge, seen, stale=stale)
    took_ms = (time.perf_counter() - began) * 1000
    seen.answers += 1
    seen.slowest_ms = max(seen.slowest_ms, took_ms)
    if took_ms > DEADLINE_S * 1000 + 500:
        wrong = wrong or f"{category}: after {took_ms:.0f} ms"
    if wrong:
        seen.wrong.append(wrong)


def _why_wrong(
    category: str, answer: httpx.Response, judge: Judge, seen: Seen, *, stale: bool
) -> str:
    if answer.status_code != 200:
        return f"{category}: {answer.status_code} {_code(answer)}"
    body = json.loads(answer.content)
    seen.last[category] = body
    seen.warnings.update(body["meta"]["warnings"])
    if body["meta"]["stale"] and not stale:
        return f"{category}: stale although rivals are well"
    why = judge(body["data"], body["meta"])
    return f"{category}: {why}" if why else ""


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("code"))
    except ValueError:
        return answer.text[:40]


async def read_for(
    gateway: Gateway,
    seconds: float,
    categories: Collection[str] = tuple(QUESTIONS),
    *,
    stale: bool = False,
    until: Callable[[], bool] = lambda: False,
) -> Seen:
    """Each category in turn, for so long or until there is no more to see."""
    seen = Seen()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        for category in categories:
            await read_once(gateway, category, seen, stale=stale)
        await asyncio.sleep(0.02)
    return seen
