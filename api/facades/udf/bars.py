"""History: the candles that a chart asks for, as columns."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from backend.errors import GatewayError, InvalidParameter
from backend.models.answer import Answer
from backend.models.ohlc import Candle, Candles, Interval
from backend.services.candles.service import BLOCK, MOST_CANDLES, OhlcService, OhlcView
from backend.services.instants import EARLIEST_MS
from backend.services.market.service import Charge


@dataclass(frozen=True, slots=True)
class Asked:
    """A chart's question. The bars open at `from_ms` or later, and before `to_ms` (epoch ms);
    with `count` they are exactly so many before `to_ms`, whatever `from_ms` is."""

    symbol: str
    interval: Interval
    currency: str
    from_ms: int
    to_ms: int
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Bars:
    """Candles of one answer, oldest first. If there are none, `earlier_ms` is the open of the last
    one before the range, None if none is known."""

    answer: Answer[Candles]
    rows: tuple[Candle, ...]
    earlier_ms: int | None = None


async def fetch_bars(ohlc: OhlcService, asked: Asked, charge: Charge) -> Bars | None:
    """None for a range in which no coin was traded. Raises GatewayError."""
    if asked.to_ms <= EARLIEST_MS:
        return None
    if asked.count is not None:
        return await _newest(ohlc, asked, asked.count, charge)
    start_ms = max(asked.from_ms, EARLIEST_MS)
    if start_ms >= asked.to_ms:
        return None
    if asked.to_ms - start_ms > MOST_CANDLES * asked.interval.step_ms:
        rule = f"from and to may hold {MOST_CANDLES} bars: ask for less, or with countback"
        raise InvalidParameter("from", rule)
    end_ms = asked.to_ms - 1
    view = OhlcView(asked.interval, None, start_ms, end_ms, currency=asked.currency)
    answer = await ohlc.candles(asked.symbol, view, charge)
    rows = ohlc.cut(answer, view).rows
    earlier = [one.timestamp for one in answer.data.candles if one.timestamp < start_ms]
    return Bars(answer, rows, max(earlier, default=None))


async def _newest(ohlc: OhlcService, asked: Asked, count: int, charge: Charge) -> Bars:
    """The newest `count` bars before `to_ms`. Where candles are missing, a longer range is asked
    for, until it brings no earlier ones."""
    view = OhlcView(asked.interval, count, None, asked.to_ms - 1, currency=asked.currency)
    bars = await _cut(ohlc, asked.symbol, view, count, charge)
    reach = count
    while len(bars.rows) < count and (reach := reach + BLOCK) <= MOST_CANDLES:
        longer = replace(view, limit=reach)
        more = None
        with suppress(GatewayError):  # the bars that are known are better than none
            more = await _cut(ohlc, asked.symbol, longer, count, charge)
        if more is None or len(more.rows) <= len(bars.rows):
            break
        bars = more
    return bars


async def _cut(ohlc: OhlcService, symbol: str, view: OhlcView, count: int, charge: Charge) -> Bars:
    answer = await ohlc.candles(symbol, view, charge)
    return Bars(answer, ohlc.cut(answer, replace(view, limit=count)).rows)


def columns(rows: Sequence[Candle]) -> dict[str, Any]:
    """Times in epoch seconds of the open. Without the volume where a provider has none: charts
    take null for a number."""
    document: dict[str, Any] = {
        "s": "ok",
        "t": [row.timestamp // 1000 for row in rows],
        "o": [row.open for row in rows],
        "h": [row.high for row in rows],
        "l": [row.low for row in rows],
        "c": [row.close for row in rows],
    }
    volumes = [row.volume for row in rows]
    return document if None in volumes else {**document, "v": volumes}


def no_data(earlier_ms: int | None) -> dict[str, Any]:
    earlier = {} if earlier_ms is None else {"nextTime": earlier_ms // 1000}
    return {"s": "no_data", **earlier}
