"""JSON as providers send it: with a byte order mark, a character that no text may hold, or a number
that no float can be."""

import json
import re
from typing import Any

import orjson

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: Text up to an escape that is half of a surrogate pair, and that escape. Read from the start, so
#: that a backslash that is itself escaped begins no escape. Linear: nothing is read twice.
_LONE_SURROGATE = re.compile(
    rb"((?:[^\\]++|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\(?!u[dD][89a-fA-F]).)*+)(?:(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|(.)|\Z)",
    re.DOTALL,
)
REPLACEMENT = rb"\ufffd"
#: More repairs than any honest body needs; each costs a microsecond.
MOST_REPAIRS = 10_000


def decode_json(body: bytes) -> Any:
    """The value; None for what is no JSON (RFC 8259), and for `null`.

    One odd character or number in one field must not cost all rows: a lone surrogate, which is no
    character, and bytes that are no UTF-8 become U+FFFD, control characters in texts stay, and so
    do `NaN` and `Infinity`, which no model takes; a number too large for a float is infinite.
    """
    try:
        return plain_json(body)
    except orjson.JSONDecodeError:
        return repaired_json(body)


def plain_json(body: bytes) -> Any:
    """The value of sound JSON. Raises orjson.JSONDecodeError."""
    return orjson.loads(body.removeprefix(BYTE_ORDER_MARK))


def repaired_json(body: bytes) -> Any:
    """As decode_json, for what plain_json cannot read; ten times as slow."""
    text = body.removeprefix(BYTE_ORDER_MARK).decode("utf-8", "replace").encode()
    repaired, count = _LONE_SURROGATE.subn(_repaired, text, MOST_REPAIRS)
    if count == MOST_REPAIRS:
        return None
    try:
        return json.loads(repaired, strict=False, parse_constant=float)
    except (ValueError, RecursionError):
        return None


def _repaired(found: re.Match[bytes]) -> bytes:
    return found[1] + (REPLACEMENT if found[2] else found[3] or b"")
