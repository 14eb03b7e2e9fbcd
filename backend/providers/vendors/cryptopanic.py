"""CryptoPanic v2: posts with votes, on paid plans only. The plan is part of the path.

Documentation: cryptopanic.com/developers/api, as client libraries quote it (2026-09); there is no
public record of an answer of v2. `next` and `previous` contain the token and are not read.
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from backend.errors import AuthFailed, PlanRestricted, QuotaSpent, RateLimited
from backend.models.news import Report, Reports, ReportsQuery
from backend.providers.adapter import MIB, Adapter, Auth, Call, Context, Operation, Plan, Window
from backend.providers.rows import bounded, iso_instant, not_ahead, parse_rows, usable_image

DAY_S = 86_400.0
HOSTS = ("https://cryptopanic.com",)
TOKEN = Auth("query", "auth_token")

# The second window spreads the quota: used in a burst, it would leave weeks without news.
GROWTH = Plan("growth", HOSTS, (Window(3_000, 30 * DAY_S), Window(1, 870)), TOKEN)
GROWTH_WEEKLY = Plan("growth_weekly", HOSTS, (Window(600, 7 * DAY_S), Window(1, 1_020)), TOKEN)
ENTERPRISE = Plan("enterprise", HOSTS, (Window(1, 60),), TOKEN)

#: Largest page; it has about 20 posts of 2 KiB, more on enterprise plans.
MOST_POSTS, MOST_BYTES = 200, 2 * MIB

FOR = ("positive", "liked")
AGAINST = ("negative", "disliked", "toxic")
#: Our code for the text in `info`; the first match counts. A quota of requests per second is a rate
#: limit, "API monthly quota exceeded" is a quota.
MEANINGS = (
    ("rate limit", re.compile(r"\b(second|sec|minute|min|hour)s?\b|/ ?[smh]\b", re.IGNORECASE)),
    ("quota", re.compile(r"\bquota|\b(daily|weekly|monthly)\b", re.IGNORECASE)),
    ("rate limit", re.compile(r"\brate|too many requests", re.IGNORECASE)),
    ("token", re.compile(r"token", re.IGNORECASE)),
)


def build_posts(_query: ReportsQuery, context: Context) -> tuple[Call, ...]:
    """The newest page, for all coins."""
    params = (("public", "true"), ("kind", "news"))
    return (Call(f"/api/{context.plan}/v2/posts/", params, max_bytes=MOST_BYTES),)


def parse_posts(_query: ReportsQuery, payloads: Sequence[Any], context: Context) -> Reports:
    """The posts of the page. Posts without a URL, as on small plans, are left out."""
    posts = bounded(payloads[0]["results"], MOST_POSTS)
    if not posts:
        return Reports(())
    rows = [row for row in posts if not isinstance(row, dict) or _address(row)]
    reports, refused = parse_rows(rows, partial(_report, context), "id", most=MOST_POSTS)
    return Reports(tuple(reports), len(refused))


def _report(context: Context, row: Any) -> Report:
    publisher = row.get("source") or {}
    codes = (one.get("code") for one in row.get("instruments") or ())
    return Report(
        title=row["title"].strip(),
        url=_address(row),
        source=str(publisher.get("title") or publisher.get("domain") or "CryptoPanic"),
        published_at=not_ahead(iso_instant(row["published_at"]), context.now_ms),
        summary=row.get("description") or None,
        image=usable_image(row.get("image")),
        symbols=tuple(dict.fromkeys(code.upper() for code in codes if code)),
        votes_for=_votes(row, FOR),
        votes_against=_votes(row, AGAINST),
    )


def _address(row: Any) -> Any:
    """The publisher's page, else CryptoPanic's; small plans have neither."""
    return row.get("original_url") or row.get("url")


def _votes(row: Any, names: tuple[str, ...]) -> int:
    votes = row.get("votes") or {}
    counts = [votes.get(name) or 0 for name in names]
    if min(counts) < 0:
        raise ValueError("a negative number of votes")
    return sum(counts)


def error_code(payload: Any) -> str | None:
    """Our code for the text in `info`; `refused` if the text is unknown."""
    if not isinstance(payload, dict) or payload.get("status") != "api_error":
        return None
    info = str(payload.get("info"))
    return next((word for word, pattern in MEANINGS if pattern.search(info)), "refused")


ADAPTER = Adapter(
    vendor="cryptopanic",
    operations=(Operation("posts", ReportsQuery, build_posts, parse_posts),),
    error_code=error_code,
    errors={
        # 403 and 429, without Retry-After; the start of a plan's month is not documented.
        (None, "quota"): QuotaSpent,
        (None, "rate limit"): RateLimited,
        (200, "token"): AuthFailed,
        (400, None): AuthFailed,  # "Token not found"; the documents say 401
        (403, "token"): AuthFailed,
        (403, "refused"): PlanRestricted,  # without JSON it is a firewall
        (404, None): AuthFailed,  # an unknown plan, as HTML: the key is for another plan
    },
)
