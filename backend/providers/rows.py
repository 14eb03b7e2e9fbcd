"""Long lists from outside: a few absurd rows are left out, many make the whole list absurd."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

M = TypeVar("M")

#: A list in which more rows than this share are absurd is no answer.
REFUSABLE_SHARE = 0.02
#: Our clock may be wrong by two hours and an honest answer an hour old: more is not of now.
NOT_OF_NOW_MS = 3 * 3_600_000
#: What a row parser raises on junk; pydantic's ValidationError is a ValueError.
JUNK = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def parse_rows(
    rows: Iterable[Any], parse: Callable[[Any], M], name: str, refusable: int = 0
) -> tuple[list[M], tuple[str, ...]]:
    """The parsed rows, and the `name` field of those refused. Raises ValueError on too many.

    `refusable`: so many may be refused although they are more than the share, in a short list.
    """
    parsed: list[M] = []
    refused: list[str] = []
    for row in rows:
        try:
            parsed.append(parse(row))
        except JUNK:
            refused.append(str(row[name]))
    most = max(refusable, REFUSABLE_SHARE * (len(parsed) + len(refused)))
    if not parsed or len(refused) > most:
        raise ValueError(f"{len(refused)} rows are absurd, {len(parsed)} are not")
    return parsed, tuple(refused)


def refuse_other_times(stamps_ms: Iterable[int], now_ms: int) -> int:
    """The list's own now: its upper quartile, which neither the many dead rows of a list nor one
    that is ahead can move. Raises ValueError where that is not ours."""
    ranked = sorted(stamps_ms)
    own_ms = ranked[-(-3 * (len(ranked) - 1) // 4)]
    if abs(now_ms - own_ms) > NOT_OF_NOW_MS:
        raise ValueError("the list is not of now")
    return own_ms
