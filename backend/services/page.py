"""What a reader gets of an answer."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """The rows of one view, the number of rows before `limit` and `offset`, and warnings."""

    rows: T
    total: int
    warnings: tuple[str, ...] = ()
