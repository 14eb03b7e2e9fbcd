"""NewsAPI.org v2: articles with crypto words in title or description; free ones a day late.

Documentation: newsapi.org/docs/endpoints/everything and /docs/errors (2026).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from backend.errors import AuthFailed, QueryRefused, QuotaSpent, RateLimited, UpstreamFailed
from backend.models.news import Report, Reports, ReportsQuery
from backend.providers.adapter import MIB, Adapter, Auth, Call, Context, Operation, Plan, Window
from backend.providers.rows import bounded, iso_instant, not_ahead, parse_rows, usable_image

DEVELOPER = Plan(
    "developer",
    ("https://newsapi.org",),
    # 100 a day as 50 per 12 h; the second window spreads them.
    (Window(50, 43_200), Window(1, 870)),
    Auth("header", "X-Api-Key"),
)

#: The search query, at most 500 characters.
WORDS = (
    "bitcoin OR ethereum OR crypto OR cryptocurrency OR cryptocurrencies OR blockchain OR"
    " stablecoin OR stablecoins OR altcoin OR altcoins OR memecoin OR defi OR web3 OR solana OR"
    " xrp OR dogecoin OR cardano OR binance OR coinbase OR tether"
)
MOST_ARTICLES = 200
#: The text in every field of a removed article.
REMOVED = "[Removed]"

#: The vendor's documented codes; any other is ignored, as its content is unknown.
CODES = {
    "apiKeyMissing": AuthFailed,
    "apiKeyInvalid": AuthFailed,
    "apiKeyDisabled": AuthFailed,
    "apiKeyExhausted": QuotaSpent,
    "rateLimited": RateLimited,
    "parametersMissing": QueryRefused,
    "parameterInvalid": QueryRefused,  # also for a time before the plan's limit (426)
    "maximumResultsReached": QueryRefused,
    "corsNotAllowed": QueryRefused,
    "unexpectedError": UpstreamFailed,
}
#: Our code for the daily limit, which has the code `rateLimited` too, with another text. Its
#: reset is not documented ("50 requests available every 12 hours").
CAP = "cap"

#: The newest 100 articles: a developer key has no second page.
build_everything = Call(
    "/v2/everything",
    (
        ("q", WORDS),
        ("searchIn", "title,description"),
        ("language", "en"),
        ("sortBy", "publishedAt"),
        ("pageSize", "100"),
    ),
    max_bytes=2 * MIB,  # an article has 1 to 2 KiB
).always


def parse_everything(_query: ReportsQuery, payloads: Sequence[Any], context: Context) -> Reports:
    """The articles with title and description; `content` is not read."""
    articles = bounded(payloads[0]["articles"], MOST_ARTICLES)
    if not articles:
        return Reports(())
    rows = [row for row in articles if not isinstance(row, dict) or row.get("title") != REMOVED]
    reports, refused = parse_rows(rows, partial(_report, context), "url", most=MOST_ARTICLES)
    return Reports(tuple(reports), len(refused))


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
    """The vendor's code if it is documented, or `cap`."""
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
    errors={(None, code): kind for code, kind in (CODES | {CAP: QuotaSpent}).items()},
)
