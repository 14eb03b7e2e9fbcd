"""Texts of providers and readers forge no log line: what moves a terminal's cursor is escaped.

The lines of our own tracebacks stay lines.
"""

import logging
import re
import traceback
from types import TracebackType

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

#: C0 and C1, line and paragraph separators, marks and overrides of direction, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def one_line(text: str) -> str:
    """`text` with such characters as `\\n` or `\\u001b`: JSON stays the same JSON."""
    return _UNSAFE.sub(_escaped, text)


class OneLineFormatter(logging.Formatter):
    """One line for each record, and the lines of a traceback behind it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = one_line(record.message.rstrip())
        return super().formatMessage(record)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - logging's name
        return "".join(map(_escaped_part, traceback.format_exception(*ei))).rstrip("\n")


def _escaped_part(part: str) -> str:
    """A place in our code keeps its lines; an exception's own text may be a provider's."""
    if part.lstrip(" |").startswith('File "'):
        return "\n".join(map(one_line, part.split("\n")))
    text = part.strip("\n")
    return part.replace(text, one_line(text), 1) if text else part


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    return _SHORT.get(character) or f"\\u{ord(character):04x}"
