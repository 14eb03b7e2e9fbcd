"""The response headers in which a dialect without `meta` states where its data are from."""

from typing import Any

from backend.models.answer import Answer


def source_headers(answer: Answer[Any]) -> dict[str, str]:
    """`X-Source`, and `X-Stale-Reason` of a stale answer."""
    headers = {"X-Source": ", ".join(answer.sources)}
    if answer.stale:
        headers["X-Stale-Reason"] = answer.stale_reason or "unknown"
    return headers


def provenance_headers(answer: Answer[Any]) -> dict[str, str]:
    """With `X-Cache` and `Age` in seconds, for a response that is not made by the responder."""
    return {**source_headers(answer), "X-Cache": answer.cache, "Age": str(int(answer.age_s))}
