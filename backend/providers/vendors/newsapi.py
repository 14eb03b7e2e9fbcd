"""NewsAPI.org v2: articles that name crypto in title or description, a day late without pay.

Documentation: newsapi.org/docs/endpoints/everything and /docs/errors (2026).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from backend.errors import (
    AuthFailed,
    ProviderError,
    QueryRefused,
    QuotaSpent,
    RateLimited,
    UpstreamFailed,
)
from backend.models.news import Report, Reports, ReportsQuery
from backend.providers.adapter import MIB, Adapter, Auth, Call, Context, Operation, Plan, Window
from backend.providers.rows import bounded, iso_instant, not_ahead, parse_rows, usable_image

DEVELOPER = Plan(
    "developer",
    ("https://newsapi.org",),
    # 100 a day, given out as 50 per 12 h; the spacing makes them last.
    (Window(50, 43_200), Window(1, 870)),
    Auth("header", "X-Api-Key"),
)

#: At most 500 characters.
WORDS = (
    "bitcoin OR ethereum OR crypto OR cryptocurrency OR cryptocurrencies OR blockchain OR"
    " stablecoin OR stablecoins OR altcoin OR altcoins OR memecoin OR defi OR web3 OR solana OR"
    " xrp OR dogecoin OR cardano OR binance OR coinbase OR tether"
)
ASKED_ARTICLES, MOST_ARTICLES = 100, 200
#: An article takes 1 to 2 KiB.
MOST_BYTES = 2 * MIB
#: What stands in every field of an article that was taken back.
REMOVED = "[Removed]"

#: The vendor's codes; any other is not repeated, as nobody knows what stands in it.
CODES: dict[str, type[ProviderError]] = {
    "apiKeyMissing": AuthFailed,
    "apiKeyInvalid": AuthFailed,
    "apiKeyDisabled": AuthFailed,
    "apiKeyExhausted": QuotaSpent,
    "rateLimited": RateLimited,
    "parametersMissing": QueryRefused,
    "parameterInvalid": QueryRefused,  # also further back than the plan reaches (426)
    "maximumResultsReached": QueryRefused,
    "corsNotAllowed": QueryRefused,
    "unexpectedError": UpstreamFailed,
}
#: Our own code: `rateLimited` is also what the day's cap answers, and only its text says which. It
#: is "50 requests available every 12 hours", without the hour at which they begin.
CAP = "cap"


def build_everything(_query: ReportsQuery, _context: Context) -> tuple[Call, ...]:
    """The newest hundred: a developer's key gets no second page."""
    params = (
        ("q", WORDS),
        ("searchIn", "title,description"),
        ("language", "en"),
        ("sortBy", "publishedAt"),
        ("pageSize", str(ASKED_ARTICLES)),
    )
    return (Call("/v2/everything", params, max_bytes=MOST_BYTES),)


def parse_everything(_query: ReportsQuery, payloads: Sequence[Any], context: Context) -> Reports:
    """Title and description only; `content`, the article's text, is never read."""
    told = bounded(payloads[0]["articles"], MOST_ARTICLES)
    if not told:
        return Reports(())
    rows = [row for row in told if not _was_taken_back(row)]
    reports, refused = parse_rows(rows, partial(_report, context), "url", most=MOST_ARTICLES)
    return Reports(tuple(reports), len(refused))


def _was_taken_back(row: Any) -> bool:
    return isinstance(row, dict) and row.get("title") == REMOVED


def _report(context: Context, row: Any) -> Report:
    return Report(
        title=row["title"].strip(),
        url=row["url"],
        source=row["source"]["name"],
        published_at=not_ahead(iso_instant(row["publishedAt"]), context.now_ms),
        summary=row.get("description") or None,
        image=usable_image(row.get("urlToImage")),
    )


def error_code(payload: Any) -> str | None:
    """The vendor's code where we know it, or `cap`."""
    if not isinstance(payload, dict) or payload.get("status") != "error":
        return None
    code = str(payload.get("code"))
    if code == "rateLimited" and "24 hour" in str(payload.get("message")):
        return CAP
    return code if code in CODES else None


ADAPTER = Adapter(
    vendor="newsapi",
    operations=(Operation("everything", ReportsQuery, build_everything, parse_everything),),
    error_code=error_code,
    errors={(None, CAP): QuotaSpent} | {(None, code): kind for code, kind in CODES.items()},
)
