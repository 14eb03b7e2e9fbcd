"""The formats of a view: the envelope `{data, meta}` as JSON, or a CSV table of its rows."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from api.encoding import instant, to_json
from backend.models.answer import Answer
from backend.models.ohlc import Candle
from backend.services.page import Page

JSON = "application/json"
CSV = "text/csv; charset=utf-8"
#: Spreadsheets read a text that begins with one of these as a formula (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
#: Control characters and Unicode line ends: some readers begin a row or a column at them.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
CANDLE_FIELDS = tuple(one.name for one in fields(Candle))
#: From an answer and a page of it to a body and its media type.
Encode = Callable[[Answer[Any], Page[Any]], tuple[bytes, str]]


class Format(StrEnum):
    """`csv` has one line for each row, below a line of names."""

    JSON = "json"
    CSV = "csv"


def encoder(wanted: Format, row_type: type[Any]) -> Encode:
    return csv_table(row_type) if wanted is Format.CSV else json_envelope


def json_envelope(answer: Answer[Any], page: Page[Any]) -> tuple[bytes, str]:
    return to_json({"data": page.rows, "meta": meta(answer, page)}), JSON


def meta(answer: Answer[Any], page: Page[Any]) -> dict[str, Any]:
    """What describes the refresh; nothing in it changes by the second."""
    latency_ms = answer.latency_ms
    described: dict[str, Any] = {
        "source": answer.source,
        "sources": answer.sources,
        "latency_ms": None if latency_ms is None else round(latency_ms, 1),
        "fetched_at": answer.fetched_at,
        "expires_at": answer.expires_at,
        "stale": answer.stale,
        "stale_reason": answer.stale_reason,
        "tried": [
            {
                "provider": attempt.provider,
                "outcome": attempt.outcome,
                "latency_ms": None if attempt.latency_ms is None else round(attempt.latency_ms, 1),
            }
            for attempt in answer.tried
        ],
        "count": len(page.rows) if isinstance(page.rows, tuple) else 1,
        "total": page.total,
        "warnings": [*answer.warnings, *page.warnings],
    }
    if page.currency is not None:
        fx = page.conversion
        rate = {"source": fx.source, "rate": fx.rate, "as_of": fx.as_of} if fx else None
        described |= {"currency": page.currency, "fx": rate}
    return described


@dataclass(frozen=True, slots=True)
class CandleRow(Candle):
    """A candle as clients get it: with its opening time also as text."""

    time: datetime


def candle_row(candle: Candle) -> dict[str, Any]:
    return {
        "timestamp": candle.timestamp,
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
        "volume": candle.volume,
        "closed": candle.closed,
        "time": datetime.fromtimestamp(candle.timestamp / 1000, UTC),
    }


def candles_json(answer: Answer[Any], page: Page[Any]) -> tuple[bytes, str]:
    rows = [candle_row(candle) for candle in page.rows]
    return to_json({"data": rows, "meta": meta(answer, page)}), JSON


def candles_csv(_answer: Answer[Any], page: Page[Any]) -> tuple[bytes, str]:
    rows = (candle_row(candle).values() for candle in page.rows)
    return table([*CANDLE_FIELDS, "time"], map(list, rows)), CSV


def csv_table(row_type: type[Any]) -> Encode:
    """A header line and the rows, safe for spreadsheets and for readers of lines; no `meta`."""
    names = [one.name for one in fields(row_type)]

    def encode(_answer: Answer[Any], page: Page[Any]) -> tuple[bytes, str]:
        rows = page.rows if isinstance(page.rows, tuple) else (page.rows,)
        return table(names, ([getattr(row, name) for name in names] for row in rows)), CSV

    return encode


def table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """UTF-8 lines that end in `\\n`: one for the names, and one for each row.

    Unknown values are empty, times ISO 8601, lists joined by spaces. In texts each run of control
    characters becomes one space, a formula gets an apostrophe in front, and a lone surrogate
    becomes `?`.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode(errors="replace")


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, tuple | list):
        return _text(" ".join(map(str, value)))
    return _text(str(value))


def _text(text: str) -> str:
    text = _CONTROLS.sub(" ", text)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text
