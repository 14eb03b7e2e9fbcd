"""Checks very large JSON in steps.

To parse 15 MB by one native call takes 100 to 200 ms, in which no other thread runs. Each step here
takes some microseconds, and together they take no longer.
"""

import json
import re
from typing import Any

#: Levels whose members are read one by one: `{"symbols": [{…}, {…}]}`.
DEPTH = 2
_CLOSING = {"{": "}", "[": "]"}
_WHITE_SPACE = re.compile(r"[ \t\n\r]*")


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


_value_at = json.JSONDecoder(parse_constant=_refuse).raw_decode


def is_json(body: bytes) -> bool:
    """Whether it is JSON (RFC 8259) in UTF-8."""
    try:
        text = body.decode()
        end = _end_of_value(text, _skip(text, 0), DEPTH)
        return _skip(text, end) == len(text)
    except (ValueError, IndexError, RecursionError):
        return False


def _skip(text: str, at: int) -> int:
    """The next place that is no white space."""
    found = _WHITE_SPACE.match(text, at)
    return found.end() if found else at


def _end_of_value(text: str, at: int, depth: int) -> int:
    """Raises ValueError or IndexError for what is no value."""
    closing = _CLOSING.get(text[at])
    if closing is None or depth == 0:
        return _value_at(text, at)[1]
    is_object, at = text[at] == "{", _skip(text, at + 1)
    if text[at] == closing:
        return at + 1
    while True:
        if is_object:
            at = _end_of_name(text, at)
        at = _skip(text, _end_of_value(text, at, depth - 1))
        if text[at] == closing:
            return at + 1
        if text[at] != ",":
            raise ValueError("a comma is missing")
        at = _skip(text, at + 1)


def _end_of_name(text: str, at: int) -> int:
    """The place of the value behind it."""
    if text[at] != '"':
        raise ValueError("a name is missing")
    at = _skip(text, _value_at(text, at)[1])
    if text[at] != ":":
        raise ValueError("a colon is missing")
    return _skip(text, at + 1)
