"""The envelope `{data, meta}` of every data route."""

from collections.abc import Callable
from typing import Any

from api.encoding import to_json
from backend.models.answer import Answer
from backend.services.page import Page

JSON = "application/json"
#: From an answer and a page of it to a body and its media type.
Encode = Callable[[Answer[Any], Page[Any]], tuple[bytes, str]]


def json_envelope(answer: Answer[Any], page: Page[Any]) -> tuple[bytes, str]:
    return to_json({"data": page.rows, "meta": meta(answer, page)}), JSON


def meta(answer: Answer[Any], page: Page[Any]) -> dict[str, Any]:
    """What describes the refresh; nothing in it changes by the second."""
    latency_ms = answer.latency_ms
    return {
        "source": answer.source,
        "latency_ms": None if latency_ms is None else round(latency_ms, 1),
        "fetched_at": answer.fetched_at,
        "expires_at": answer.expires_at,
        "stale": answer.stale,
        "stale_reason": answer.stale_reason,
        "tried": [
            {
                "provider": attempt.provider,
                "outcome": attempt.outcome,
                "latency_ms": None if attempt.latency_ms is None else round(attempt.latency_ms, 1),
            }
            for attempt in answer.tried
        ],
        "count": len(page.rows) if isinstance(page.rows, tuple) else 1,
        "total": page.total,
        "warnings": [*answer.warnings, *page.warnings],
    }
