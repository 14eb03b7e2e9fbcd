"""The response headers in which a dialect without `meta` tells where its data are from."""

from typing import Any

from backend.models.answer import Answer


def provenance_headers(answer: Answer[Any]) -> dict[str, str]:
    """`X-Source`, `X-Cache`, `Age` in seconds, and `X-Stale-Reason` of a stale answer."""
    headers = {
        "X-Source": ", ".join(answer.sources),
        "X-Cache": answer.cache,
        "Age": str(int(answer.age_s)),
    }
    if answer.stale:
        headers["X-Stale-Reason"] = answer.stale_reason or "unknown"
    return headers
