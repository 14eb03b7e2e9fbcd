"""What every answer must be, whatever happens: plausible, of now or flagged, in time, discreet."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from backend.identity.instruments import QUOTES
from tests.chaos.scene import Reading, Scene
from tests.chaos.subjects import DEADLINE_S, KEYS, TTL_S
from tests.world import data, lists

#: The longest that each category's answers may be served, in seconds; the defaults.
MAX_STALE_S = {
    "market": 6 * 3_600.0,
    "ohlc": 24 * 3_600.0,
    "news": 24 * 3_600.0,
    "sentiment": 48 * 3_600.0,
    "gas": 300.0,
    "global": 6 * 3_600.0,
}
#: What a figure of the world may be off by; the venue's prices are one percent above the others.
FACTOR = 1.5
#: Stamps of an honest row lie behind by seconds.
SLACK_S = 60.0
#: As JSON has them.
CONTROL = re.compile(rb"\\(?:[bfnrt]|u00[01]|u007f)|\x7f")
KINDS_OF_ERROR = ("all_providers_failed", "deadline_exceeded", "quota_exhausted", "not_ready")


def check_all(scene: Scene, *, are_errors_allowed: bool) -> None:
    """Each distinct body once, each reader's time."""
    seen: set[tuple[int, bytes]] = set()
    for reading in scene.readings:
        if (reading.status, reading.body) in seen:
            continue
        seen.add((reading.status, reading.body))
        if reading.status == 200:
            check_answer(scene.subject.category, reading)
        else:
            assert are_errors_allowed, f"a reader got {reading.status}: {reading.body[:300]!r}"
            check_error(reading)
    check_times(scene.readings)


def check_times(readings: Sequence[Reading]) -> None:
    """Each reader was answered within the deadline."""
    slowest = max(reading.took_s for reading in readings)
    assert slowest <= DEADLINE_S + 0.1, f"readers waited {slowest:.2f} s"


def check_error(reading: Reading) -> None:
    """The precise one: a code, every provider's reason, the soonest retry."""
    problem = _parsed(reading)
    assert reading.status in (503, 504)
    assert problem["code"] in KINDS_OF_ERROR
    if problem["code"] == "all_providers_failed":
        assert all(row["reason"] for row in problem["providers"])
        assert int(reading.headers["retry-after"]) == problem["retry_after_seconds"] > 0
    assert all(word not in reading.body for word in (b"127.0.0.1", b"localhost", b"Traceback"))


def check_answer(category: str, reading: Reading) -> None:
    """Plausible, no older than it may be, and flagged where it is not of now."""
    document = _parsed(reading)
    meta, rows = document["meta"], document["data"]
    fetched_at = datetime.fromisoformat(meta["fetched_at"])
    expires_at = datetime.fromisoformat(meta["expires_at"])
    age_s = (reading.at - fetched_at).total_seconds()
    assert age_s <= MAX_STALE_S[category] + SLACK_S, f"served when {age_s:.0f} s old"
    is_late = (reading.at - expires_at).total_seconds() > TTL_S + 1
    assert meta["stale"] or not is_late, f"{age_s:.0f} s old, and not flagged"
    assert (reading.headers["x-cache"] == "stale") is meta["stale"], (
        f"{reading.headers['x-cache']} of {meta}"[:400]
    )
    assert bool(meta["stale_reason"]) is meta["stale"]
    CHECKS[category](rows, reading.at)


def _parsed(reading: Reading) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in an answer")

    assert all(key.encode() not in reading.body for key in KEYS.values()), "a key in an answer"
    assert not has_control_characters(reading.body), "a control character in an answer"
    return json.loads(reading.body, parse_constant=refuse)


def has_control_characters(body: bytes) -> bool:
    is_suspect = b"\\" in body or b"\x7f" in body  # to look closer takes 0.5 ms for 90 kB
    return is_suspect and CONTROL.search(body) is not None


def _true_price(row: Any) -> float:
    """Of a row without an id: its venue's pair's, or of the list's coins with this ticker."""
    if row["id"] in TRUE_PRICES:
        return TRUE_PRICES[row["id"]]
    if row["source"] not in WITHOUT_RANGES:
        return VENUE_PRICES[row["symbol"]]
    return min(LISTED_PRICES[row["symbol"]], key=lambda price: abs(price - (row["price"] or 0)))


def _check_coins(rows: Any, at: datetime) -> None:
    assert rows
    for row in rows:
        true = _true_price(row)
        told_s = (at - datetime.fromisoformat(row["last_updated"])).total_seconds()
        if row["price"] is None:  # nobody renewed it: named, and without figures
            assert told_s > MAX_STALE_S["market"] - SLACK_S, f"{row['symbol']} has no price"
            assert row["market_cap"] is row["volume_24h"] is row["high_24h"] is None
            continue
        assert true / FACTOR < row["price"] < true * FACTOR, f"{row['symbol']}: {row['price']}"
        for name in ("high_24h", "low_24h"):
            is_told = row[name] is not None or row["source"] not in WITHOUT_RANGES
            assert not is_told or true / FACTOR < row[name] < true * FACTOR
        assert row["market_cap"] is None or row["market_cap"] > 0
        assert -SLACK_S < told_s < MAX_STALE_S["market"] + SLACK_S, (
            f"the price of {row['id'] or row['symbol']} is {told_s:.0f} s old"
        )


def _check_candles(rows: Any, at: datetime) -> None:
    assert len(rows) > 10
    for row in rows:
        assert all(40_000 < row[name] < 60_000 for name in ("open", "high", "low", "close"))
    newest_s = at.timestamp() - rows[-1]["timestamp"] / 1000
    assert 0 <= newest_s < MAX_STALE_S["ohlc"] + 7_200, f"the newest candle is {newest_s:.0f} s old"


def _check_articles(rows: Any, at: datetime) -> None:
    for row in rows:
        assert row["title"]
        assert row["url"].startswith("https://")
        assert "<" not in row["title"] + (row["summary"] or "")
        published = datetime.fromisoformat(row["published_at"])
        assert at - timedelta(hours=97) < published <= at + timedelta(minutes=10)


def _check_days(rows: Any, at: datetime) -> None:
    assert rows
    assert all(20 <= row["value"] < 80 and row["classification"] == "Fear" for row in rows)
    newest = datetime.fromisoformat(rows[0]["timestamp"])
    assert at - newest < timedelta(hours=49 + 48)


#: By chain: between what bounds the world's fees are.
FEES = {
    "ethereum": (0.4, 0.8),
    "base": (0.005, 0.21),
    "arbitrum": (0.019, 0.021),
    "optimism": (0.001, 0.21),
    "polygon": (300.0, 340.0),
    "bnb": (0.04, 0.26),
    "avalanche": (0.04, 0.25),
    "bitcoin": (1.0, 3.2),
}


def _check_fees(fees: Any, _at: datetime) -> None:
    least, most = FEES[fees["chain"]]
    assert least < fees["slow"] <= fees["average"] <= fees["fast"] < most
    if fees["chain"] not in ("bnb", "bitcoin"):
        assert least < fees["base_fee"] < most


def _check_whole(figures: Any, at: datetime) -> None:
    assert figures["market_cap"] == pytest.approx(lists.MARKET_CAP)
    assert figures["volume_24h"] == pytest.approx(lists.VOLUME)
    assert figures["btc_dominance"] == lists.BTC_SHARE
    told_s = (at - datetime.fromisoformat(figures["last_updated"])).total_seconds()
    assert -SLACK_S < told_s < MAX_STALE_S["global"] + 3 * 3_600.0


CHECKS = {
    "global": _check_whole,
    "market": _check_coins,
    "ohlc": _check_candles,
    "news": _check_articles,
    "sentiment": _check_days,
    "gas": _check_fees,
}


def _venue_prices() -> dict[str, float]:
    """By symbol: what the venue's live dollar pairs cost."""
    prices: dict[str, float] = {}
    for row in data.tickers(0):
        for quote in QUOTES:
            if row["symbol"].endswith(quote):
                prices.setdefault(row["symbol"].removesuffix(quote), float(row["lastPrice"]))
    return prices


VENUE_PRICES = _venue_prices()
#: Vendors whose lists have no highs and lows of 24 hours.
WITHOUT_RANGES = ("coinmarketcap", "coinpaprika")
LISTED = data.coins(data.utc(0))
TRUE_PRICES: dict[str, float] = {row["id"]: row["current_price"] for row in LISTED}
#: By ticker, which several coins may share.
LISTED_PRICES: defaultdict[str, list[float]] = defaultdict(list)
for _row in LISTED:
    LISTED_PRICES[_row["symbol"].upper()].append(_row["current_price"])
