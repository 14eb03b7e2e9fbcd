"""Escapes control characters in log records, so that a foreign text cannot forge a log line.

Tracebacks keep their lines.
"""

import logging
import re
import time
import traceback
from types import TracebackType

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

#: C0 and C1, line and paragraph separators, marks and overrides of direction, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def one_line(text: str) -> str:
    """`text` with control characters as `\\n` or `\\u001b`, so that JSON keeps its meaning."""
    return _UNSAFE.sub(lambda found: _SHORT.get(found[0]) or f"\\u{ord(found[0]):04x}", text)


class OneLineFormatter(logging.Formatter):
    """Formats a record as one line, in UTC, followed by the lines of its traceback."""

    converter = staticmethod(time.gmtime)  # a conversion, not a reading of the clock
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = one_line(record.message.rstrip())
        return super().formatMessage(record)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - logging's name
        return "".join(map(_escaped_part, traceback.format_exception(*ei))).rstrip("\n")


def _escaped_part(part: str) -> str:
    """Keeps the lines of code locations; an exception's text may come from a provider."""
    if part.lstrip(" |").startswith('File "'):
        return "\n".join(map(one_line, part.split("\n")))
    text = part.strip("\n")
    return part.replace(text, one_line(text), 1) if text else part
