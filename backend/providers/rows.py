"""Parses lists: a malformed row is skipped and named, a malformed majority refuses the list."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

from backend.identity.instruments import Instrument
from backend.models.numbers import LONGEST_NAME, has_host
from backend.models.ohlc import Candle, Candles, Interval
from backend.models.sentiment import FearGreed
from backend.models.sifting import sifted

M = TypeVar("M")

#: The name of a row: a field, or a function of the row.
Name = str | Callable[[Any], Any]
_ADDRESS = re.compile(r"https?://[^\s<>\"\[\]/?#][^\s<>\"\[\]]{2,1990}")

LONGEST_ADDRESS = 2_000

#: Accepted difference between a time and now, in ms: a clock error of two hours, and an answer
#: that is an hour old.
CURRENT_WITHIN_MS = 3 * 3_600_000
#: Largest age of the newest daily value, in ms: today's may be late, yesterday's may not.
OLDEST_DAY_MS = 49 * 3_600_000
#: Most days of an index in one answer.
MOST_DAYS = 800
#: Accepted clock difference, in ms.
AHEAD_MS = 3_600_000
#: Exceptions of a row parser on malformed rows; pydantic's ValidationError is a ValueError.
MALFORMED = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)


def parse_rows(
    rows: Any, parse: Callable[[Any], M], name: Name, *, most: int
) -> tuple[list[M], tuple[str, ...]]:
    """The parsed rows in their order, and the names of the refused rows.

    A malformed row costs only itself: a row that `parse` refuses is left out and listed by its
    `name`, or by its number. Raises ValueError if no row, or less than half of them, can be parsed,
    or if there are more than `most`; TypeError if `rows` is not a list.
    """
    parsed: list[M] = []
    refused: list[str] = []
    for number, row in enumerate(bounded(rows, most), 1):
        try:
            parsed.append(parse(row))
        except MALFORMED:
            refused.append(row_name(row, name, number))
    if not parsed or len(refused) > len(parsed):
        raise ValueError(f"{len(refused)} rows are malformed, {len(parsed)} are not")
    return parsed, tuple(refused)


def bounded(rows: Any, most: int) -> list[Any]:
    """`rows`, if it is a list of at most `most`. Raises TypeError, ValueError."""
    if not isinstance(rows, list):
        raise TypeError("the rows are not a list")
    if len(rows) > most:
        raise ValueError(f"{len(rows)} rows, at most {most} are accepted")
    return rows


def row_name(row: Any, name: Name, number: int) -> str:
    """The name of a refused row if it is a printable text or a number, else its position."""
    try:
        value = name(row) if callable(name) else row[name]
        text = str(value) if isinstance(value, int | str) else ""
    except MALFORMED:
        text = ""
    return text[:LONGEST_NAME] if text.isprintable() and text else f"number {number}"


def printable_name(text: Any) -> str:
    """A name, a symbol or an address that may be shown. Raises TypeError, ValueError."""
    if not isinstance(text, str):
        raise TypeError("a name must be a text")
    if not 0 < len(text) <= LONGEST_NAME or not text.isprintable():
        raise ValueError("a name must be short and printable")
    return text


def decimal_number(text: str) -> float:
    """A plain decimal such as `-1.5`. `float` would also accept `1_0`, ` 1`, `1e5`, `NaN`,
    `Infinity`, digits of other scripts and booleans. Raises TypeError, ValueError."""
    (number,) = decimal_numbers((text,))
    return number


def decimal_numbers(texts: Sequence[str]) -> Iterator[float]:
    """As `decimal_number`, for several numbers at once."""
    if "".join(texts).strip("0123456789.-"):
        raise ValueError("not a decimal number")
    return map(float, texts)


def refuse_other_times(stamps_ms: Iterable[int], now_ms: int) -> int:
    """The time of the list: the median of its timestamps, which few wrong rows cannot move.
    Raises ValueError if it is too far from now."""
    stamps = sorted(stamps_ms)
    if not stamps or abs(now_ms - stamps[len(stamps) // 2]) > CURRENT_WITHIN_MS:
        raise ValueError("the list is not current")
    return stamps[len(stamps) // 2]


def known_amount(amount: Any) -> Any:
    """The amount; None for 0, which vendors send for an unknown supply or market cap."""
    return None if amount == 0 and amount is not False else amount


def usable_image(address: Any) -> str | None:
    """The URL of an image; None for an invalid one, as a row is valid without an image."""
    is_short = isinstance(address, str) and len(address) <= LONGEST_ADDRESS
    return address if is_short and _is_usable(address) else None


@lru_cache(maxsize=1_024)  # the same pictures at each refresh
def _is_usable(address: str) -> bool:
    is_address = address.isprintable() and _ADDRESS.fullmatch(address)
    return bool(is_address and has_host(address))


def iso_instant(text: str) -> datetime:
    """An ISO 8601 time, in UTC. Raises ValueError, also if the time zone is missing."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("a time without a time zone")
    return instant if instant.tzinfo is UTC else instant.astimezone(UTC)


def not_ahead(instant: datetime, now_ms: int) -> datetime:
    """`instant` itself. Raises ValueError if it is more than CURRENT_WITHIN_MS in the future."""
    if instant.timestamp() * 1000 > now_ms + CURRENT_WITHIN_MS:
        raise ValueError("a time in the future")
    return instant


def parse_days(
    rows: Any, parse: Callable[[Any], FearGreed], first_day: datetime, now_ms: int
) -> tuple[tuple[FearGreed, ...], tuple[str, ...]]:
    """The days of an index, newest first, the first row of each day, and the refused rows' names.

    Refused are malformed days, those before `first_day` and those in the future. Raises ValueError
    as `parse_rows`, and if the newest day is older than yesterday.
    """

    def parse_day(row: Any) -> FearGreed:
        day = parse(row)
        if not_ahead(day.timestamp, now_ms) < first_day:
            raise ValueError("older than the index")
        return day

    days, refused = parse_rows(rows, parse_day, "timestamp", most=MOST_DAYS)
    unique = {day.timestamp: day for day in reversed(days)}
    newest = max(unique)
    if now_ms - newest.timestamp() * 1000 > OLDEST_DAY_MS:
        raise ValueError("the newest day is not current")
    return tuple(unique[at] for at in sorted(unique, reverse=True)), refused


def parse_candles(
    pages: Iterable[Any],
    interval: Interval,
    parse_all: Callable[[list[Any]], list[Candle]],
    parse: Callable[[Any], Candle],
    opened: Callable[[Any], int],
    *,
    most: int,
    instrument: Instrument | None = None,
) -> Candles:
    """The candles of all pages, each of at most `most` rows. Raises ValueError if most of them are
    malformed.

    `parse_all` makes the candles that `parse` makes of each row, or raises one of MALFORMED; then
    `parse` is called for each row. `opened` returns the open time of a row, which names it if it is
    refused.
    """
    rows = [row for page in pages for row in bounded(page, most)]
    if not rows:
        return Candles(interval, (), instrument)
    malformed: tuple[str, ...] = ()
    try:
        candles = parse_all(rows)
    except MALFORMED:
        candles, malformed = parse_rows(rows, parse, opened, most=len(rows))
    series = sifted(interval, candles, instrument, malformed)
    if len(series.refused) > len(series.candles):
        raise ValueError("most candles are malformed")
    return series


def whole_number(text: str, most_digits: int) -> int:
    """Digits only: int() would also accept `1_3`, ` 13 `, 13.5 and True. Raises TypeError,
    ValueError."""
    if not re.fullmatch(rf"[0-9]{{1,{most_digits}}}", text):
        raise ValueError("not a whole number")
    return int(text)
