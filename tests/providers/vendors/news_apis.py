"""The two news APIs: their rows and pages as the vendors write them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from backend.models.news import Report, Reports, ReportsQuery
from backend.providers.adapter import Adapter, Call, Context, Operation, Plan
from backend.providers.client import ProviderClient, parsed
from backend.providers.vendors import cryptopanic, newsapi
from tests.clocks import EPOCH_MS

HTML = "<!DOCTYPE html><html><title>Not here</title></html>"
CRYPTOPANIC_POSTS = "https://cryptopanic.com/api/growth/v2/posts/"


@dataclass(frozen=True)
class NewsApi:
    """A vendor with its first plan. `url` and `time` are its names for these fields.

    `absurd` are changes of a row, each of which alone makes it no report. `skipped` is a row that
    is left out without being counted as refused.
    """

    adapter: Adapter
    plan: Plan
    address: str
    key: str
    row: Callable[..., dict[str, Any]]
    page: Callable[..., dict[str, Any]]
    error: Callable[[str], dict[str, Any]]
    url: str
    time: str
    image: str
    absurd: tuple[dict[str, Any], ...]
    skipped: dict[str, Any]

    def __str__(self) -> str:
        return self.adapter.vendor

    @property
    def context(self) -> Context:
        return Context(str(self), self.plan.name, EPOCH_MS)

    @property
    def operation(self) -> Operation:
        (operation,) = self.adapter.operations
        return operation

    @property
    def call(self) -> Call:
        (call,) = self.operation.build(ReportsQuery(), self.context)
        return call

    def reports(self, *rows: Any) -> Reports:
        return self.parse(self.page(*rows))

    def parse(self, payload: Any) -> Reports:
        """As the client does. Raises MalformedResponse."""
        found = parsed(self.operation.parse, ReportsQuery(), [payload], self.context)
        assert isinstance(found, Reports)
        return found

    def only(self, row: Any) -> Report:
        (report,) = self.reports(row).reports
        return report

    def urls(self, *rows: Any) -> list[str]:
        """Of the reports in the answer."""
        return [report.url for report in self.reports(*rows).reports]

    async def ask(self, client: ProviderClient) -> Any:
        assert self.plan.auth
        credential = (self.plan.auth, SecretStr(self.key))
        return await client.call(
            self.adapter, self.call, self.plan.base_urls[0], credential, timeout_s=5.0
        )


def response(status: int, body: Any) -> httpx.Response:
    if isinstance(body, str):
        return httpx.Response(status, text=body)
    return httpx.Response(status, json=body)


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _post(number: int = 1, **changes: Any) -> dict[str, Any]:
    row = {
        "id": number,
        "slug": f"coin-{number}-does-something",
        "title": f"Coin {number} does something",
        "description": "It did it <b>again</b>.",
        "published_at": "2026-11-22T07:30:00Z",
        "created_at": "2026-11-22T07:30:04Z",
        "kind": "news",
        "source": {"title": "Coin Daily", "region": "en", "domain": "coindaily.example"},
        "original_url": f"https://coindaily.example/{number}",
        "url": f"https://cryptopanic.com/news/{number}/coin-{number}-does-something",
        "image": "https://coindaily.example/1.jpg",
        "instruments": [{"code": "AAA", "title": "Triple A"}, {"code": "bbb", "title": "B"}],
        "votes": {
            "negative": 1,
            "positive": 10,
            "important": 100,
            "liked": 5,
            "disliked": 2,
            "lol": 200,
            "toxic": 4,
            "saved": 300,
            "comments": 400,
        },
        "panic_score": None,
        "author": {"name": "Nobody"},
    }
    return row | changes


TOKEN = "notarealtokennotarealtoken"  # noqa: S105
NEXT_PAGE = f"{CRYPTOPANIC_POSTS}?auth_token={TOKEN}&public=true&page=2"
BAD_FIELDS: tuple[dict[str, Any], ...] = ({"title": None}, {"title": ""}, {"title": "x" * 1_001})
CRYPTOPANIC = NewsApi(
    cryptopanic.ADAPTER,
    cryptopanic.GROWTH,
    CRYPTOPANIC_POSTS,
    TOKEN,
    row=_post,
    page=lambda *rows: {"next": NEXT_PAGE, "previous": NEXT_PAGE, "results": list(rows)},
    error=lambda info: {"status": "api_error", "info": info},
    url="original_url",
    time="published_at",
    image="image",
    absurd=(
        *BAD_FIELDS,
        {"title": 7},
        {"original_url": "javascript:alert(1)"},
        {"original_url": 7},
        {"published_at": None},
        {"published_at": "yesterday"},
        {"published_at": "2026-11-22T07:30:00"},
        {"votes": {"positive": -1, "liked": 5}},
        {"votes": {"toxic": float("nan")}},
        {"votes": {"liked": 2.5}},
        {"votes": {"liked": "5"}},
        {"votes": [1]},
        {"instruments": "BTC"},
        {"instruments": [{"code": 7}]},
        {"source": "Coin Daily"},
        {"description": ["x"]},
    ),
    skipped=without(_post(), "original_url", "url"),
)


def _article(number: int = 1, **changes: Any) -> dict[str, Any]:
    row = {
        "source": {"id": None, "name": "Coin Daily"},
        "author": None,
        "title": f"Coin {number} does something",
        "description": "It did it <b>again</b>.",
        "url": f"https://coindaily.example/{number}",
        "urlToImage": "https://coindaily.example/1.jpg",
        "publishedAt": "2026-11-21T07:30:00Z",
        "content": "THE WHOLE TEXT of it… [+1234 chars]",
    }
    return row | changes


NEWSAPI = NewsApi(
    newsapi.ADAPTER,
    newsapi.DEVELOPER,
    "https://newsapi.org/v2/everything",
    "0123456789notarealkey0123456789ab",
    row=_article,
    page=lambda *rows: {"status": "ok", "totalResults": 7_000, "articles": list(rows)},
    error=lambda message: {"status": "error", "code": "apiKeyInvalid", "message": message},
    url="url",
    time="publishedAt",
    image="urlToImage",
    absurd=(
        *BAD_FIELDS,
        {"url": None},
        {"url": "javascript:alert(1)"},
        {"source": None},
        {"source": {"id": None, "name": None}},
        {"source": {"id": None, "name": ""}},
        {"publishedAt": None},
        {"publishedAt": "yesterday"},
        {"publishedAt": "2026-11-21T07:30:00"},
        {"publishedAt": 1_795_334_400},
        {"description": float("nan")},
    ),
    skipped={
        "source": {"id": None, "name": "[Removed]"},
        "author": None,
        "title": "[Removed]",
        "description": "[Removed]",
        "url": "https://removed.com",
        "urlToImage": None,
        "publishedAt": "1970-01-01T00:00:00Z",
        "content": "[Removed]",
    },
)
NEWS_APIS = (CRYPTOPANIC, NEWSAPI)
