"""Warnings about single rows: the first few by name, the others by their number."""

from collections.abc import Sequence

#: Rows that a warning names.
MOST_NAMED = 5


def few_of(notes: Sequence[str], rest: str) -> tuple[str, ...]:
    """At most five of the notes, and `and 7 {rest}` for the others."""
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
