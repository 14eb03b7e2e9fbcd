"""JSON as providers send it: with a byte order mark, or a character that no text may hold."""

import re
from typing import Any

import orjson

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: An escape: a surrogate pair, a surrogate alone, or any other. Read in this order, so that a
#: backslash that is itself escaped begins no escape.
_ESCAPE = re.compile(
    rb"\\(?:u([dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
REPLACEMENT = rb"\ufffd"


def decode_json(body: bytes) -> Any:
    """The value; None for what is no JSON (RFC 8259), and for `null`.

    A lone surrogate, which is no character, and bytes that are no UTF-8 become U+FFFD: one odd
    character in one field must not cost all rows.
    """
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return orjson.loads(_repaired(body))
    except orjson.JSONDecodeError:
        return None


def _repaired(body: bytes) -> bytes:
    text = body.decode("utf-8", "replace").encode()
    return _ESCAPE.sub(lambda match: REPLACEMENT if match[2] else match[0], text)
