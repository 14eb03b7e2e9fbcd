"""Keys never leave the process as text: the one filter that every text passes on its way out."""

import logging
import re
from collections.abc import Iterable

from backend.spellings import spellings

REDACTED = "[redacted]"
#: A shorter "key" would blot out ordinary words.
SHORTEST_SECRET = 6
#: Keys that nobody told us of, by where they stand or how they look.
_NAMES = r"(?:api[-_]?key|(?:auth|access)[-_]token|authorization)"
_PATTERNS = (
    # The value ends before a backslash too: in a JSON line it escapes the closing quote.
    re.compile(
        rf"(?i)({_NAMES}\\*['\"]?\s*[=:]\s*\\*['\"]?(?:(?:bearer|basic)\s+)?)[^\s&'\",;\\]{{4,}}"
    ),
    re.compile(r"()\bCG-[A-Za-z0-9]{20,}"),
)


class Redactor:
    """Replaces every known key, however it is spelt, and whatever looks like one."""

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


class RedactingFormatter(logging.Formatter):
    """Formats as another formatter does, traceback included, and redacts the result."""

    def __init__(self, inner: logging.Formatter, redact: Redactor) -> None:
        super().__init__()
        self._inner = inner
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(self._inner.format(record))
