"""Long lists from outside: a few absurd rows are left out, many make the whole list absurd."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

M = TypeVar("M")

#: A list in which more rows than this share are absurd is no answer.
REFUSABLE_SHARE = 0.02
#: What a row parser raises on junk; pydantic's ValidationError is a ValueError.
JUNK = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def parse_rows(
    rows: Iterable[Any], parse: Callable[[Any], M], name: str
) -> tuple[list[M], tuple[str, ...]]:
    """The parsed rows, and the `name` field of those refused. Raises ValueError on too many."""
    parsed: list[M] = []
    refused: list[str] = []
    for row in rows:
        try:
            parsed.append(parse(row))
        except JUNK:
            refused.append(str(row[name]))
    if not parsed or len(refused) > REFUSABLE_SHARE * (len(parsed) + len(refused)):
        raise ValueError(f"{len(refused)} rows are absurd, {len(parsed)} are not")
    return parsed, tuple(refused)
