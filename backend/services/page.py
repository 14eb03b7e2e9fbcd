"""What a reader gets of an answer: the rows of one view, and warnings about single rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from backend.services.currency import Conversion

T = TypeVar("T")

#: Rows that a warning names; it counts the others.
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """The rows of one view, the number of rows before `limit` and `offset`, and warnings.

    `currency` is that of the amounts, None for rows without any; `conversion` is that from dollars,
    if they were converted.
    """

    rows: T
    total: int
    warnings: tuple[str, ...] = ()
    currency: str | None = None
    conversion: Conversion | None = None


def few_of(notes: Sequence[str], rest: str) -> tuple[str, ...]:
    """The first five notes, and `and 7 {rest}` for the others."""
    if len(notes) <= MOST_NAMED:
        return tuple(notes)
    return (*notes[:MOST_NAMED], f"and {len(notes) - MOST_NAMED} {rest}")


def refused_warning(names: Sequence[str], noun: str = "row") -> tuple[str, ...]:
    """One warning with the number and the names of refused rows; none without any."""
    if not names:
        return ()
    rest = len(names) - MOST_NAMED
    named = ", ".join(names[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
    what = f"1 {noun} was" if len(names) == 1 else f"{len(names)} {noun}s were"
    return (f"{what} refused as malformed: {named}",)
