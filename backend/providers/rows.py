"""Lists from providers: a malformed row is left out and named, a majority condemns the list."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from backend.models.numbers import has_host

M = TypeVar("M")

#: Where a row's name stands: in a field, or where a function finds it.
Name = str | Callable[[Any], Any]


class Dated(Protocol):
    @property
    def timestamp(self) -> datetime: ...


D = TypeVar("D", bound=Dated)

_ADDRESS = re.compile(r"https?://[^\s<>\"\[\]/?#][^\s<>\"\[\]]{2,1990}")

#: Our clock may be wrong by two hours and an honest answer an hour old: more is not of now.
NOT_OF_NOW_MS = 3 * 3_600_000
#: Yesterday's value may still stand while today's is late; the day before's is not of now.
OLDEST_DAY_MS = 49 * 3_600_000
#: A clock, theirs or ours, may be wrong by this.
AHEAD_MS = 3_600_000
#: A refused row's name is shown to readers: as long as an honest one at most.
LONGEST_NAME = 200
#: What a row parser raises on junk; pydantic's ValidationError is a ValueError.
JUNK = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)


def parse_rows(
    rows: Any, parse: Callable[[Any], M], name: Name, *, most: int
) -> tuple[list[M], tuple[str, ...]]:
    """The parsed rows in their order, and the names of the rows that were refused.

    What is wrong with a row costs that row only: whatever `parse` raises on junk leaves it out,
    and its field `name` (or what `name` finds), or its number, says which it was. Raises
    ValueError where no row or a minority of them can be parsed, or where there are more than
    `most` rows; TypeError where `rows` is no list.
    """
    parsed: list[M] = []
    refused: list[str] = []
    for number, row in enumerate(bounded(rows, most), 1):
        try:
            parsed.append(parse(row))
        except JUNK:
            refused.append(row_name(row, name, number))
    if not parsed or len(refused) > len(parsed):
        raise ValueError(f"{len(refused)} rows are malformed, {len(parsed)} are not")
    return parsed, tuple(refused)


def bounded(rows: Any, most: int) -> list[Any]:
    """`rows`, which must be a list of at most `most`. Raises TypeError, ValueError."""
    if not isinstance(rows, list):
        raise TypeError("the rows are not a list")
    if len(rows) > most:
        raise ValueError(f"{len(rows)} rows, at most {most} are accepted")
    return rows


def row_name(row: Any, name: Name, number: int) -> str:
    """What to call a refused row: its field `name` if that is a printable text or a number, else
    its number in the list."""
    try:
        value = name(row) if callable(name) else row[name]
        told = str(value) if isinstance(value, int | str) else ""
    except JUNK:
        told = ""
    return told[:LONGEST_NAME] if told.isprintable() and told else f"number {number}"


def decimal_number(text: str) -> float:
    """A plain decimal as venues write it. `float` would take `1_0`, ` 1`, `1e5`, `NaN`, `Infinity`,
    other scripts' digits and booleans, too. Raises TypeError, ValueError."""
    (number,) = decimal_numbers((text,))
    return number


def decimal_numbers(texts: Sequence[str]) -> Iterator[float]:
    """As `decimal_number`, of the few in one row at once."""
    if "".join(texts).strip("0123456789.-"):
        raise ValueError("not a decimal number")
    return map(float, texts)


def refuse_other_times(stamps_ms: Iterable[int], now_ms: int) -> int:
    """The list's own now: its median, which neither dead rows nor some that are ahead can move.
    Raises ValueError where it is not ours."""
    told = sorted(stamps_ms)
    if not told or abs(now_ms - told[len(told) // 2]) > NOT_OF_NOW_MS:
        raise ValueError("the list is not of now")
    return told[len(told) // 2]


def usable_image(address: Any) -> str | None:
    """The address of a picture, None for what is no address: a row is good without."""
    if not isinstance(address, str) or not address.isprintable():
        return None
    return address if _ADDRESS.fullmatch(address) and has_host(address) else None


def iso_instant(text: str) -> datetime:
    """An ISO 8601 instant in UTC; one without a time zone is nobody's. Raises ValueError."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant without a time zone")
    return instant.astimezone(UTC)


def not_ahead(instant: datetime, now_ms: int) -> datetime:
    """`instant` itself. Raises ValueError where it is ahead of `now_ms` by more than a clock that
    is wrong by two hours explains. Who has several providers' instants judges more finely."""
    if instant.timestamp() * 1000 > now_ms + NOT_OF_NOW_MS:
        raise ValueError("an instant that has not come yet")
    return instant


def newest_days(days: Iterable[D], now_ms: int) -> tuple[D, ...]:
    """Days of an index, newest first and each once as first told. Raises ValueError when the
    newest is the day before yesterday's, or lies ahead."""
    unique: dict[datetime, D] = {}
    for day in days:
        unique.setdefault(day.timestamp, day)
    ranked = tuple(unique[at] for at in sorted(unique, reverse=True))
    age_ms = now_ms - int(ranked[0].timestamp.timestamp() * 1000)
    if not -NOT_OF_NOW_MS <= age_ms <= OLDEST_DAY_MS:
        raise ValueError("the newest day is not of now")
    return ranked
