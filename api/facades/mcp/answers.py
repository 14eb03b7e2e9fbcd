"""Answers of tools: one text of compact JSON, short enough for the context of a model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson

from api.encoding import to_json
from api.facades.provenance import provenance_headers
from backend.models.answer import Answer

#: Bytes of the longest text as it stands in the response, quoted within JSON.
MAX_TEXT_BYTES = 11_500
#: Warnings of one answer, and characters of each.
MAX_WARNINGS, MAX_WARNING_LENGTH = 3, 240
#: Characters of an error's text.
MAX_ERROR_LENGTH = 1_500
#: Significant digits of figures.
DIGITS = 12
#: Whole figures up to here are written without a fraction; beyond, a float is no exact integer.
MAX_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a tool found. `rows` are the part that may be cut; of `keeps_last` rows the oldest."""

    members: dict[str, Any]
    source: str | Sequence[str]
    as_of: datetime
    rows: Sequence[Any] | None = None
    keeps_last: bool = False
    stale_reason: str | None = None
    warnings: Sequence[str] = ()
    headers: dict[str, str] = field(default_factory=dict)


def tool_answer(
    answer: Answer[Any],
    members: dict[str, Any],
    rows: Sequence[Any] | None = None,
    warnings: Sequence[str] = (),
    *,
    keeps_last: bool = False,
) -> ToolAnswer:
    """With the provenance of `answer`; `warnings` are those of its rows."""
    return ToolAnswer(
        members,
        answer.source,
        answer.fetched_at,
        rows,
        keeps_last,
        (answer.stale_reason or "unknown") if answer.stale else None,
        (*answer.warnings, *warnings),
        provenance_headers(answer),
    )


def text_of(found: ToolAnswer) -> str:
    """The answer as JSON, with as many rows as have room."""
    text, rows = _encoded(found), found.rows or ()
    kept = len(rows)
    while kept and (size := len(orjson.dumps(text))) > MAX_TEXT_BYTES:
        kept = min(kept - 1, kept * MAX_TEXT_BYTES // size)
        part = rows[len(rows) - kept :] if found.keeps_last else rows[:kept]
        which = "newest" if found.keeps_last else "first"
        note = f"only the {which} {kept} of {len(rows)} rows have room in an answer: ask for fewer"
        text = _encoded(replace(found, rows=part, warnings=(note, *found.warnings)))
    return text


def _encoded(found: ToolAnswer) -> str:
    document = dict(found.members)
    if found.rows is not None:
        document["rows"] = found.rows
    document |= {
        "source": found.source,
        "as_of": found.as_of,
        "stale": found.stale_reason is not None,
        **({"stale_reason": found.stale_reason} if found.stale_reason else {}),
        "warnings": few_warnings(found.warnings),
    }
    return to_json(document).decode()


def few_warnings(warnings: Sequence[str]) -> list[str]:
    """At most three, the last of which counts those that are left out."""
    unique = list(dict.fromkeys(cut(one, MAX_WARNING_LENGTH) for one in warnings))
    if len(unique) <= MAX_WARNINGS:
        return unique
    shown = unique[: MAX_WARNINGS - 1]
    return [*shown, f"and {len(unique) - len(shown)} more warnings"]


def cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def figure(value: float | None) -> float | int | None:
    """A number in as few characters as its twelve significant digits need."""
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.{DIGITS}g}")
    is_whole = rounded.is_integer() and abs(rounded) < MAX_EXACT
    return int(rounded) if is_whole else rounded
