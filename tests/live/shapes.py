"""The shape of an answer: its JSON paths with their types, without any value.

`shapes.json` has the recorded shapes, by provider and operation. It is written by `--accept` from
answers of real providers only.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).with_name("shapes.json")
NOTE = "Shapes of real answers, written by: python -m tests.live --accept"
NOTHING = "not recorded yet"

#: Types by path, `number|string` for a path with several.
Shape = Mapping[str, str]

#: An object with more names than this is a table: its names are data.
MOST_MEMBERS = 60
#: A list in a list with at most this many values is a row with columns.
MOST_COLUMNS = 20
#: Levels that are followed, names of XML elements that are kept, characters of a name.
DEEPEST, MOST_ELEMENTS, LONGEST_NAME = 12, 200, 40
#: Names that are data: numbers, and tickers or pairs in capitals.
_DATA = re.compile(r"\d+|(?=.*[A-Z])[^a-z]{2,}")
_NO_ELEMENTS = re.compile(rb"<!\[CDATA\[.*?\]\]>|<!--.*?-->", re.DOTALL)
_ELEMENT = re.compile(rb"<([A-Za-z][\w.:-]{0,39})")
_LAST_STEP = re.compile(r"(?:\[\d*\]|\.[^.\[\]]+)$")


@dataclass
class Node:
    """All values at one path together."""

    types: set[str] = field(default_factory=set)
    items: "Node | None" = None
    members: dict[str, "Node"] = field(default_factory=dict)
    is_table: bool = False

    def add(self, value: Any, depth: int = 0, *, is_item: bool = False) -> None:
        self.types.add(type_of(value))
        if depth == DEEPEST:
            return
        if isinstance(value, list) and is_item and len(value) <= MOST_COLUMNS:
            for number, each in enumerate(value):
                self.members.setdefault(f"[{number}]", Node()).add(each, depth + 1)
        elif isinstance(value, list) and value:
            self.items = self.items or Node()
            for each in value:
                self.items.add(each, depth + 1, is_item=True)
        elif isinstance(value, dict):
            for name, each in value.items():
                self._member(name).add(each, depth + 1)

    def _member(self, name: str) -> "Node":
        name = "*" if self.is_table or _DATA.fullmatch(name) else plain(name)
        found = self.members.setdefault(name, Node())
        if len(self.members) <= MOST_MEMBERS:
            return found
        table = Node()
        for member in self.members.values():
            table.merge(member)
        self.members, self.is_table = {"*": table}, True
        return table

    def merge(self, other: "Node") -> None:
        self.types |= other.types
        self.is_table |= other.is_table
        if other.items:
            self.items = self.items or Node()
            self.items.merge(other.items)
        for name, member in other.members.items():
            self.members.setdefault(name, Node()).merge(member)

    def paths(self, path: str) -> dict[str, str]:
        found = {path: "|".join(sorted(self.types))}
        if self.items:
            found |= self.items.paths(f"{path}[]")
        for name in sorted(self.members):
            step = name if name.startswith("[") else f".{name}"
            found |= self.members[name].paths(path + step)
        return found


def type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "array"
    return "object" if isinstance(value, dict) else "number"


def plain(name: str) -> str:
    """The name without characters that have a meaning in paths."""
    return re.sub(r"[^\w-]", "_", name)[:LONGEST_NAME]


def shape_of(payloads: Sequence[Any]) -> Shape:
    """The shape of the payloads of one operation. Equal shapes of several payloads are one."""
    shapes: list[dict[str, str]] = []
    for payload in payloads:
        found = elements_of(payload) if isinstance(payload, bytes) else json_shape(payload)
        if found not in shapes:
            shapes.append(found)
    if len(shapes) == 1:
        return shapes[0]
    return {f"{n} {path}": types for n, one in enumerate(shapes) for path, types in one.items()}


def json_shape(payload: Any) -> dict[str, str]:
    root = Node()
    root.add(payload)
    return root.paths("$")


def elements_of(body: bytes) -> dict[str, str]:
    """The names of the elements of a feed."""
    if not body.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        return {"$": "bytes"}
    names = {name.decode() for name in _ELEMENT.findall(_NO_ELEMENTS.sub(b"", body))}
    return {f"<{name}>": "element" for name in sorted(names)[:MOST_ELEMENTS]}


def changes(old: Shape, new: Shape) -> list[str]:
    """What differs, one text for each path. `null` beside another type is no change, nor is what
    an empty list or object hides."""
    found = []
    for path in sorted(old.keys() | new.keys()):
        if path not in old:
            if _parent(path) in old or _parent(path) == "":
                found.append(f"new {path} ({new[path]})")
        elif path not in new:
            if _is_seen(_parent(path), new):
                found.append(f"gone {path} ({old[path]})")
        elif _types(old[path]) != _types(new[path]):
            found.append(f"{path} is {new[path]}, was {old[path]}")
    return found


def _parent(path: str) -> str:
    return _LAST_STEP.sub("", path) if "$" in path and not path.endswith("$") else ""


def _is_seen(parent: str, shape: Shape) -> bool:
    """True if the parent has members in `shape`: a missing one is missing indeed."""
    return parent == "" or any(_parent(path) == parent for path in shape)


def _types(text: str) -> set[str]:
    types = set(text.split("|"))
    return types - {"null"} or types


def read_shapes(path: Path) -> dict[str, Shape]:
    recorded = json.loads(path.read_text(encoding="utf-8"))["shapes"] if path.exists() else {}
    return {name: dict(shape) for name, shape in recorded.items()}


def write_shapes(path: Path, shapes: Mapping[str, Shape]) -> None:
    text = json.dumps({"note": NOTE, "shapes": shapes}, indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")
