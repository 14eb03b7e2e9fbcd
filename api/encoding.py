"""How values become JSON: instants in UTC with milliseconds and Z, unknown as null."""

from datetime import UTC, datetime
from typing import Any

import orjson


def instant(at: datetime) -> str:
    """`2026-11-22T08:00:00.000Z`, cut to the millisecond."""
    text = orjson.dumps(at.astimezone(UTC)).decode()  # a third of what isoformat() takes
    return f"{text[1:24]}Z" if at.microsecond else f"{text[1:20]}.000Z"


def to_json(value: Any) -> bytes:
    """Dataclasses, mappings and sequences as JSON; refuses what it does not know."""
    return orjson.dumps(value, default=_default, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _default(value: Any) -> str:
    if isinstance(value, datetime):
        return instant(value)
    raise TypeError(f"{type(value).__name__} has no place in an answer")
