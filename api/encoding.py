"""JSON of values: times in UTC with milliseconds and Z, unknown as null."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

import orjson


def instant(at: datetime) -> str:
    """`2026-11-22T08:00:00.000Z`, cut to the millisecond."""
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    text = str(orjson.dumps(utc), "ascii")  # takes a third of the time of isoformat()
    return f"{text[1:24]}Z" if at.microsecond else f"{text[1:20]}.000Z"


def to_json(value: Any) -> bytes:
    """Dataclasses, mappings and sequences as JSON. Raises TypeError for other types.

    A lone surrogate, which UTF-8 cannot encode, becomes `?`: one odd text of a provider must not
    fail a whole response.

    What is kept should be a copy (`b"%b" % encoded`): orjson 3.13 leaves its result in a buffer of
    4, 16 or 64 kB, of which a row uses 200 bytes.
    """
    try:
        return orjson.dumps(value, default=_default, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except orjson.JSONEncodeError:  # too rare to check for it first
        value = _without_surrogates(value)
        return orjson.dumps(value, default=_default, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, Mapping):
        return {_without_surrogates(key): _without_surrogates(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(one) for one in value]
    if is_dataclass(value):
        return {one.name: _without_surrogates(getattr(value, one.name)) for one in fields(value)}
    return value


def _default(value: Any) -> str:
    if isinstance(value, datetime):
        return instant(value)
    raise TypeError(f"{type(value).__name__} cannot be encoded as JSON")
