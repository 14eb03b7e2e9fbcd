"""Removes API keys from every text that leaves the process."""

import html
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

REDACTED = "[redacted]"
#: Shortest secret that is replaced, in characters: a shorter one would remove ordinary words.
SHORTEST_SECRET = 6
#: Keys that the settings do not contain, found by the name before them or by their form.
_NAMES = r"(?:api[-_]?key|(?:auth|access)[-_]token|authorization)"
_PATTERNS = (
    # The value ends before a backslash too: in a JSON line it escapes the closing quote.
    re.compile(
        rf"(?i)({_NAMES}\\*['\"]?\s*[=:]\s*\\*['\"]?(?:(?:bearer|basic)\s+)?)[^\s&'\",;\\]{{4,}}"
    ),
    re.compile(r"()\bCG-[A-Za-z0-9]{20,}"),
)


class Redactor:
    """Replaces every known key in all its spellings, and everything that looks like a key."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
        ways = {way for secret in known for way in spellings(secret)}
        longest_first = sorted(ways, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if known else None

    def __repr__(self) -> str:
        return "<Redactor>"

    def __call__(self, text: str) -> str:
        if self._known:
            text = self._known.sub(REDACTED, text)
        for pattern in _PATTERNS:
            text = pattern.sub(rf"\1{REDACTED}", text)
        return text


def spellings(secret: str) -> frozenset[str]:
    """The secret as common encoders write it: plain, in a URL, in JSON or in HTML; one spelling if
    it has only letters and digits."""
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
