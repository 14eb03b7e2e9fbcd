"""Mutations of JSON: real answers made wrong, one place or one whole column at a time.

A strategy draws steps, not trees: what fails is then told in a few words.
"""

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

#: Changes what stands in a container (a list or a dict) under an index or a name.
Change = Callable[[Any, Any], None]

SECONDS = (-60, 60, -3_600, 7_200, -86_400, 86_400, -9 * 86_400, 400 * 86_400, -20 * 365 * 86_400)
TEXTS = (
    "",
    " ",
    "null",
    "NaN",
    "Infinity",
    "-1",
    "0",
    "1e999",
    "1_0",
    "0x10",
    "0x" + "f" * 64,
    "9" * 12,
    "١٢",  # digits, but not ours
    "\ud800",
    "a\x00b",
    "\u202egnp.exe",
    "<script>alert(1)</script>",
    "&lt;b&gt;bold&lt;/b&gt;",
    "javascript:alert(1)",
    "https://",
    "https://[::1",
    "https://a.example/ \n<x>",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00",
    "2026-11-22T08:00:00",
    "x" * 300,
    "<a " * 4_000,
    "𝕏" * 5_000,
)
NUMBERS = (
    *(0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, 10**400, -(10**30)),
    *(0.0, -0.0, 5e-324, 1e-12, 1e308, math.nan, math.inf, -math.inf, 0.1 + 0.2, True, False),
)
CONTAINERS: tuple[Any, ...] = ([], {}, [[]], [{}], {"": None}, [None], {"error": "no"})


#: More rows than any shape has.
LONGEST_COLUMN = 200


@dataclass(frozen=True)
class Put:
    """Another value in its place."""

    value: Any

    def __call__(self, holder: Any, name: Any) -> None:
        holder[name] = deepcopy(self.value)


@dataclass(frozen=True)
class Scale:
    """A number, or a text that is one, so many times as large."""

    factor: float

    def __call__(self, holder: Any, name: Any) -> None:
        told = holder[name]
        if isinstance(told, str) and told.replace(".", "", 1).isascii():
            try:
                holder[name] = f"{float(told) * self.factor:.8f}"
            except ValueError:
                return
        elif isinstance(told, int | float):
            holder[name] = _scaled(told, self.factor)


@dataclass(frozen=True)
class Shift:
    """An instant so many seconds later: epoch s or ms, as number or digits, or ISO 8601."""

    seconds: int

    def __call__(self, holder: Any, name: Any) -> None:
        told = holder[name]
        if isinstance(told, int) and told > 1e12:
            holder[name] = told + self.seconds * 1_000
        elif isinstance(told, int) and told > 1e9:
            holder[name] = told + self.seconds
        elif isinstance(told, str) and told.isascii() and told.isdigit() and len(told) == 10:
            holder[name] = str(int(told) + self.seconds)
        elif isinstance(told, str):
            holder[name] = _shifted_iso(told, self.seconds)


@dataclass(frozen=True)
class Nest:
    """Inside so many lists."""

    depth: int

    def __call__(self, holder: Any, name: Any) -> None:
        for _ in range(self.depth):
            holder[name] = [holder[name]]


def as_text(holder: Any, name: Any) -> None:
    if isinstance(holder[name], int | float):
        holder[name] = _as_text(holder[name])


def as_number(holder: Any, name: Any) -> None:
    try:
        holder[name] = float(holder[name])
    except (TypeError, ValueError, OverflowError):
        return


def drop(holder: Any, name: Any) -> None:
    del holder[name]


def rename(holder: Any, name: Any) -> None:
    if isinstance(holder, dict):
        holder[f"{name}_"] = holder.pop(name)


def swap(holder: Any, name: Any) -> None:
    """With whatever stands first beside it."""
    first = next(iter(holder)) if isinstance(holder, dict) else 0
    holder[first], holder[name] = holder[name], holder[first]


def reverse(holder: Any, name: Any) -> None:
    if isinstance(holder[name], list | str):
        holder[name] = holder[name][::-1]


def halve(holder: Any, name: Any) -> None:
    if isinstance(holder[name], list | str):
        holder[name] = holder[name][: len(holder[name]) // 2]


def double(holder: Any, name: Any) -> None:
    if isinstance(holder[name], list | str):
        holder[name] = holder[name] * 2


def repeat_first(holder: Any, name: Any) -> None:
    if isinstance(holder[name], list) and holder[name]:
        holder[name] = [*holder[name], holder[name][0]]


PLAIN: tuple[Change, ...] = (
    *(as_text, as_number, drop, rename, swap, reverse, halve, double, repeat_first),
    *(Scale(-1), Scale(1_000), Scale(0.001), Scale(1e300), Scale(0)),
    *map(Shift, SECONDS),
    *map(Put, (None, *CONTAINERS)),
    *map(Nest, (1, 900)),
)
CHANGES: st.SearchStrategy[Change] = (
    st.sampled_from(PLAIN)
    | st.sampled_from([*map(Put, TEXTS)])
    | st.sampled_from([*map(Put, NUMBERS)])
    | (st.integers() | st.floats() | st.text(max_size=20)).map(Put)
)


@dataclass(frozen=True)
class Step:
    """A change at the place-th value of the tree; with `column` at all of that name and depth.

    Not at other depths: lists that are doubled inside doubled lists grow exponentially.
    """

    place: int
    change: Change
    column: bool


STEPS = st.lists(
    st.builds(Step, st.integers(0, 4_000), CHANGES, st.booleans()), min_size=1, max_size=3
)


def mutated(tree: Any, steps: list[Step]) -> Any:
    """A changed copy."""
    root = [deepcopy(tree)]
    for step in steps:
        spots = list(_spots(root))
        if not spots:  # the whole tree was dropped
            return None
        holder, name, depth = spots[step.place % len(spots)]
        changed = [(holder, name)]
        if step.column and not isinstance(step.change, Nest):
            changed = [
                (one, key)
                for one, key, level in spots
                if key == name and level == depth and type(one) is type(holder)
            ]
        for one, key in changed[:LONGEST_COLUMN]:
            if _is_there(one, key):  # not taken away together with another one
                step.change(one, key)
    return root[0] if root else None


def _is_there(holder: Any, name: Any) -> bool:
    return name in holder if isinstance(holder, dict) else name < len(holder)


def _spots(root: list[Any]) -> Iterator[tuple[Any, Any, int]]:
    """Every container, name and depth in the tree, without recursion: it may be nested deeply."""
    waiting: list[tuple[Any, int]] = [(root, 0)]
    while waiting:
        holder, depth = waiting.pop()
        names = list(holder) if isinstance(holder, dict) else range(len(holder))
        for name in names:
            yield holder, name, depth
            if isinstance(holder[name], list | dict):
                waiting.append((holder[name], depth + 1))


def _scaled(number: float, factor: float) -> float:
    if isinstance(number, int) and float(factor).is_integer() and abs(factor) < 1e6:
        return number * int(factor)
    try:
        return number * factor
    except OverflowError:
        return math.inf


def _as_text(number: float) -> str:
    try:
        return str(number)
    except ValueError:  # more digits than Python prints
        return "9" * 5_000


def _shifted_iso(text: str, seconds: int) -> str:
    try:
        at = datetime.fromisoformat(text) + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return text
    return at.isoformat().replace("+00:00", "Z")
