"""Makes the candles of a whole list at once, where each of its rows is well-formed.

The functions here raise one of `rows.MALFORMED` for anything else, also for some rows that are
valid in a rare form. Then the list has to be parsed row by row, which names the malformed rows.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import orjson

from backend.models.ohlc import Candle, OhlcQuery, candles_from_values
from backend.providers.adapter import Context
from backend.providers.rows import CURRENT_WITHIN_MS


def columns_of(rows: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The columns of rows that are lists of the same length. Raises TypeError, ValueError."""
    if set(map(type, rows)) != {list}:
        raise TypeError("a row is not a list")
    return list(zip(*rows, strict=True))


def decimal_columns(*columns: Sequence[str]) -> list[list[float]]:
    """As `decimal_numbers`, a list of each column; whole numbers become int. All columns have the
    same length. Raises TypeError, and ValueError also for a sign, and for `.5`, `5.` and `05`,
    which are not JSON."""
    text = ",".join(chain.from_iterable(columns)).encode()
    if text.translate(None, b"0123456789.,"):
        raise ValueError("not a decimal number")
    numbers, length = orjson.loads(b"[%b]" % text), len(columns[0])
    if len(numbers) != length * len(columns):
        raise ValueError("a comma is not a decimal number")
    return [numbers[at : at + length] for at in range(0, len(numbers), length)]


def candles_of(
    query: OhlcQuery,
    context: Context,
    opens_ms: Sequence[int],
    figures: Iterable[Sequence[float | None]],
    *,
    closed: Iterable[bool] | None = None,
) -> list[Candle]:
    """As `candle_of`, for all rows. `figures` are columns: open, high, low, close and volume."""
    first_ms, last_ms, start_ms, end_ms = min(opens_ms), max(opens_ms), query.start_ms, query.end_ms
    if last_ms - context.now_ms > CURRENT_WITHIN_MS:
        raise ValueError("a candle is in the future")
    if start_ms is not None and end_ms is not None and not start_ms <= first_ms <= last_ms < end_ms:
        raise ValueError("a candle is outside the requested range")
    if closed is None:
        closed = [query.interval.next_open(opened_ms) <= context.now_ms for opened_ms in opens_ms]
    return candles_from_values(zip(opens_ms, *figures, closed, strict=True))
