"""CSV tables for the rows of any route, safe for spreadsheets and for readers of lines."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from api.cache.envelope import Encode
from api.encoding import instant
from backend.models.answer import Answer
from backend.services.page import Page

CSV = "text/csv; charset=utf-8"
#: Spreadsheets read a text that begins with one of these as a formula (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
#: Control characters and Unicode line ends: some readers begin a row or a column at them.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def csv_table(row_type: type[Any]) -> Encode:
    """Encodes a page as a header line and its rows, without `meta`."""
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
