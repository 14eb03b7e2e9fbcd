"""What readers are told of rows that were refused."""

from collections.abc import Sequence

#: So many of them are named; of more the number is told.
MOST_NAMED = 5


def refused_warning(names: Sequence[str], noun: str = "row") -> tuple[str, ...]:
    """One warning that counts and names what was refused; none where nothing was."""
    if not names:
        return ()
    rest = len(names) - MOST_NAMED
    named = ", ".join(names[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
    what = f"1 {noun} was" if len(names) == 1 else f"{len(names)} {noun}s were"
    return (f"{what} refused as malformed: {named}",)
