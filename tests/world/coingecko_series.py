"""CoinGecko's series: points off the grid, and candles stamped at their close."""

from collections.abc import Mapping
from typing import Any

from tests.world import data
from tests.world.coingecko_coins import UNITS

FIVE_MINUTES = 300_000
#: The points of a chart up to so many days are so far apart, in milliseconds.
STEPS = ((1, FIVE_MINUTES), (90, data.HOUR), (5_000, data.DAY))
#: The same of candles.
CANDLES = ((2, data.HOUR // 2), (30, 4 * data.HOUR), (5_000, 4 * data.DAY))
#: The vendor's points miss the grid by some seconds, but for those of days.
MOST_OFF_MS = 4_000


def _step_ms(steps: tuple[tuple[int, int], ...], days: float) -> int:
    return next(step for most, step in steps if days <= most)


def chart(
    row: Mapping[str, Any], query: Mapping[str, str], days: int, now_ms: int
) -> dict[str, list[list[float]]]:
    """`market_chart`: the last point is now."""
    step = data.DAY if query.get("interval") == "daily" else _step_ms(STEPS, days)
    return _points(row, query, (now_ms - days * data.DAY, now_ms), step, now_ms)


def chart_range(
    row: Mapping[str, Any], query: Mapping[str, str], now_ms: int
) -> dict[str, list[list[float]]]:
    """`market_chart/range`: `from` and `to` are in seconds."""
    first, last = (int(float(query[name])) * 1_000 for name in ("from", "to"))
    step = _step_ms(STEPS, min((last - first) / data.DAY, 5_000))
    return _points(row, query, (first, min(last, now_ms)), step, now_ms)


def _points(
    row: Mapping[str, Any],
    query: Mapping[str, str],
    between: tuple[int, int],
    step: int,
    now_ms: int,
) -> dict[str, list[list[float]]]:
    first, last = between
    grid = range(-(-first // step) * step, last + 1, step)
    off = 0 if step == data.DAY else MOST_OFF_MS
    times = [at + (at // step * 797) % off if off else at for at in grid]
    times = [at for at in times if at < last]
    if last == now_ms:
        times.append(now_ms)
    fields = {
        "prices": "current_price",
        "market_caps": "market_cap",
        "total_volumes": "total_volume",
    }
    units = UNITS[query["vs_currency"].lower()]
    return {name: [[at, row[field] * units] for at in times] for name, field in fields.items()}


def ohlc(
    row: Mapping[str, Any], query: Mapping[str, str], days: int, now_ms: int
) -> list[list[float]]:
    step = _step_ms(CANDLES, days)
    price = row["current_price"] * UNITS[query["vs_currency"].lower()]
    return data.ohlc(price, step, days * data.DAY // step, now_ms)
