"""Decodes providers' JSON, also with a byte order mark, invalid characters or oversized numbers."""

import json
import re
from typing import Any

import orjson

from backend.providers.large_json import is_json

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: Text up to a lone surrogate escape, and that escape. It is matched from the start of the text, so
#: that an escaped backslash cannot begin an escape. Linear time: no character is read twice.
_LONE_SURROGATE = re.compile(
    rb"((?:[^\\]++|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\(?!u[dD][89a-fA-F]).)*+)(?:(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|(.)|\Z)",
    re.DOTALL,
)
REPLACEMENT = rb"\ufffd"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
#: Larger bodies are checked in steps, and not parsed.
LARGE_BYTES = 4 * 1024 * 1024
#: Most repairs in one body; each costs a microsecond.
MOST_REPAIRS = 10_000


def decode_json(body: bytes) -> Any:
    """The value; None for `null`, and for a body that is not JSON (RFC 8259).

    One invalid character or number must not cost all rows: lone surrogates and bytes that are not
    UTF-8 become U+FFFD, and control characters in texts are kept. `NaN` and `Infinity` are kept,
    and a number too large for a float becomes infinite; the models refuse them.
    """
    try:
        return plain_json(body)
    except orjson.JSONDecodeError:
        return repaired_json(body)


def plain_json(body: bytes) -> Any:
    """The value of valid JSON. Raises orjson.JSONDecodeError."""
    return orjson.loads(body.removeprefix(BYTE_ORDER_MARK))


def repaired_json(body: bytes) -> Any:
    """As decode_json, for a body that plain_json cannot read; ten times slower."""
    repaired = _repaired(body)
    try:
        return json.loads(repaired or b"", strict=False, parse_constant=float)
    except (ValueError, RecursionError):
        return None


def valid_json(body: bytes) -> tuple[bytes, Any] | None:
    """The body as valid JSON in UTF-8, and its value; None for a body that is not JSON.

    It is the same bytes, without a byte order mark, and with U+FFFD for lone surrogates and for
    bytes that are not UTF-8. A very large body has None in the place of its value.
    """
    text: bytes | None = body.removeprefix(BYTE_ORDER_MARK)
    if len(body) > LARGE_BYTES and not _SURROGATE.search(body) and is_json(text or b""):
        return text or b"", None
    for repair in (False, True):
        text = _repaired(body) if repair else text
        try:
            return (text, orjson.loads(text)) if text else None
        except orjson.JSONDecodeError:
            continue
    return None


def _repaired(body: bytes) -> bytes | None:
    """None for a body with too many repairs."""
    text = body.removeprefix(BYTE_ORDER_MARK).decode("utf-8", "replace").encode()
    repaired, count = _LONE_SURROGATE.subn(
        lambda found: found[1] + (REPLACEMENT if found[2] else found[3] or b""), text, MOST_REPAIRS
    )
    return None if count == MOST_REPAIRS else repaired
