"""The spellings in which an echoed secret can appear: plain, in a URL, in JSON or in HTML."""

import html
import json
from urllib.parse import quote, quote_plus


def spellings(secret: str) -> frozenset[str]:
    """The secret as common encoders write it; one spelling if it has only letters and digits."""
    ways = {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(secret)[1:-1].replace("/", r"\/"),
        _escaped(secret, "\\u{:04x}"),
        _escaped(secret, "\\u{:04X}"),
        _escaped(secret, "%{:02x}"),
        html.escape(secret),
        _escaped(secret, "&#{};"),
    }
    # A log line in JSON that contains an error body in JSON.
    return frozenset(ways | {json.dumps(way)[1:-1] for way in ways})


def _escaped(secret: str, form: str) -> str:
    return "".join(char if char.isalnum() else form.format(ord(char)) for char in secret)
