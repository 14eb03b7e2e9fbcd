"""NewsAPI: articles in, reports out; what was taken back and the articles' text stay out."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import respx
from pydantic import SecretStr

from backend.errors import (
    AuthFailed,
    GeoBlocked,
    MalformedResponse,
    ProviderError,
    QueryRefused,
    QuotaSpent,
    RateLimited,
    UpstreamFailed,
)
from backend.models.news import Report, Reports, ReportsQuery
from backend.providers.adapter import Context
from backend.providers.client import ProviderClient, parsed
from backend.providers.vendors import newsapi
from tests.clocks import EPOCH, EPOCH_MS, ManualClock

KEY = "0123456789notarealkey0123456789ab"
CONTEXT = Context("newsapi", "developer", EPOCH_MS)
ADDRESS = "https://newsapi.org/v2/everything"
HTML = "<!DOCTYPE html><html><title>Not here</title></html>"


def article(number: int = 1, **changes: Any) -> dict[str, Any]:
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


REMOVED = {
    "source": {"id": None, "name": "[Removed]"},
    "author": None,
    "title": "[Removed]",
    "description": "[Removed]",
    "url": "https://removed.com",
    "urlToImage": None,
    "publishedAt": "1970-01-01T00:00:00Z",
    "content": "[Removed]",
}


def page(*rows: Any) -> dict[str, Any]:
    return {"status": "ok", "totalResults": 7_000, "articles": list(rows)}


def reports(*rows: Any) -> Reports:
    return parsed(newsapi.parse_everything, ReportsQuery(), [page(*rows)], CONTEXT)


def only(row: Any) -> Report:
    (report,) = reports(row).reports
    return report


def test_an_article_becomes_a_report() -> None:
    assert only(article()) == Report(
        title="Coin 1 does something",
        url="https://coindaily.example/1",
        source="Coin Daily",
        published_at=datetime(2026, 11, 21, 7, 30, tzinfo=UTC),
        summary="It did it <b>again</b>.",
        image="https://coindaily.example/1.jpg",
    )


def test_the_articles_text_is_never_used() -> None:
    found = reports(article(), article(2, description=None), article(3, description=""))
    assert "THE WHOLE TEXT" not in repr(found)
    assert [one.summary for one in found.reports][1:] == [None, None]


def test_articles_taken_back_are_left_out_however_many_and_are_not_absurd() -> None:
    found = reports(REMOVED, article(1), REMOVED, REMOVED, article(2))
    assert [one.url for one in found.reports] == [article(n)["url"] for n in (1, 2)]
    assert found.refused == 0


@pytest.mark.parametrize("image", [None, "", "/relative.jpg", "data:image/png;base64,AAAA"])
def test_an_image_without_an_address_is_none(image: Any) -> None:
    assert only(article(urlToImage=image)).image is None


@pytest.mark.parametrize(("ahead_s", "is_kept"), [(10_800, True), (10_801, False)])
def test_an_article_of_a_time_to_come_is_refused_and_counted(ahead_s: int, is_kept: bool) -> None:
    instant = (EPOCH + timedelta(seconds=ahead_s)).isoformat()
    found = reports(article(1), article(2, publishedAt=instant))
    assert (len(found.reports), found.refused) == (1 + is_kept, 1 - is_kept)


ABSURD = [
    {"title": ""},
    {"title": None},
    {"title": "x" * 1_001},
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
]


@pytest.mark.parametrize("change", ABSURD)
def test_up_to_half_of_a_page_may_be_absurd_and_is_left_out(
    change: dict[str, Any],
) -> None:
    found = reports(article(1, **change), article(2))
    assert (len(found.reports), found.refused) == (1, 1)
    with pytest.raises(MalformedResponse):
        reports(article(1, **change), article(3, **change), article(2))


@pytest.mark.parametrize("no_article", [None, [], "article", 7, True, {}], ids=repr)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_row_that_is_no_article_costs_itself(no_article: Any, place: int) -> None:
    rows = [article(1), article(2)]
    rows.insert(place, no_article)
    found = reports(*rows)
    assert [one.url for one in found.reports] == [article(n)["url"] for n in (1, 2)]
    assert found.refused == 1


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def test_what_all_articles_leave_out_is_unknown() -> None:
    rows = [without(article(n), "description", "urlToImage") for n in range(1, 4)]
    found = reports(*rows)
    assert [(one.summary, one.image) for one in found.reports] == [(None, None)] * 3
    assert found.refused == 0


@pytest.mark.parametrize("name", ["title", "url", "source", "publishedAt"])
def test_an_article_without_a_key_that_it_needs_costs_itself(name: str) -> None:
    found = reports(article(1), without(article(2), name), article(3))
    assert [one.url for one in found.reports] == [article(n)["url"] for n in (1, 3)]
    assert found.refused == 1


@pytest.mark.parametrize(("count", "is_taken"), [(200, True), (201, False)])
def test_more_than_twice_the_articles_asked_for_are_not_even_read(
    count: int, is_taken: bool
) -> None:
    if is_taken:
        assert len(reports(*([article()] * count)).reports) == count
    else:
        with pytest.raises(MalformedResponse):
            reports(article(), *([REMOVED] * (count - 1)))


def test_nothing_new_is_an_answer() -> None:
    assert reports() == Reports(())


NO_ROWS: list[Any] = [None, {}, "rows", [None], [7], ["x"], [[]], [{}], [REMOVED]]
JUNK: list[Any] = [{}, [], None, "", HTML, 7, float("nan"), {"status": "ok"}]
JUNK += [{"articles": rows} for rows in NO_ROWS]


@pytest.mark.parametrize("payload", JUNK, ids=repr)
def test_junk_is_no_answer(payload: Any) -> None:
    with pytest.raises(MalformedResponse):
        parsed(newsapi.parse_everything, ReportsQuery(), [payload], CONTEXT)


def test_one_call_asks_for_the_newest_hundred_that_name_crypto_in_title_or_description() -> None:
    (call,) = newsapi.build_everything(ReportsQuery(), CONTEXT)
    asked = dict(call.params)
    assert (call.path, call.max_bytes) == ("/v2/everything", 2 * 1024 * 1024)
    assert len(asked.pop("q")) <= 500
    assert asked == {
        "searchIn": "title,description",
        "language": "en",
        "sortBy": "publishedAt",
        "pageSize": "100",
    }


def test_the_spacing_makes_the_allowance_last() -> None:
    allowance, spacing = newsapi.DEVELOPER.windows
    assert allowance.period_s / spacing.period_s <= allowance.limit


def refusal(code: Any, message: Any = "No.") -> dict[str, Any]:
    return {"status": "error", "code": code, "message": message}


CAP = "Developer accounts are limited to 100 requests over a 24 hour period (50 every 12 hours)."
ANSWERS: list[tuple[int, Any, type[ProviderError]]] = [
    (401, refusal("apiKeyMissing"), AuthFailed),
    (401, refusal("apiKeyInvalid"), AuthFailed),
    (401, refusal("apiKeyDisabled"), AuthFailed),
    (200, refusal("apiKeyInvalid"), AuthFailed),
    (401, HTML, AuthFailed),
    (429, refusal("apiKeyExhausted"), QuotaSpent),
    (429, refusal("rateLimited", CAP), QuotaSpent),
    (200, refusal("rateLimited", CAP), QuotaSpent),
    (429, refusal("rateLimited", "Too many requests within a second."), RateLimited),
    (429, HTML, RateLimited),
    (400, refusal("parametersMissing"), QueryRefused),
    (400, refusal("sourceDoesNotExist"), QueryRefused),
    (426, refusal("parameterInvalid", "too far in the past"), QueryRefused),
    (426, refusal("maximumResultsReached"), QueryRefused),
    (426, refusal("corsNotAllowed"), QueryRefused),
    (200, refusal("maximumResultsReached"), QueryRefused),
    (500, refusal("unexpectedError"), UpstreamFailed),
    (200, refusal("unexpectedError"), UpstreamFailed),
    (502, HTML, UpstreamFailed),
    (403, HTML, GeoBlocked),
    (200, HTML, MalformedResponse),
]


@pytest.fixture
async def client(clock: ManualClock, respx_mock: respx.MockRouter) -> AsyncIterator[ProviderClient]:
    assert respx_mock is not None, "the client must not find the network"
    async with ProviderClient(clock) as opened:
        yield opened


def response(status: int, body: Any) -> httpx.Response:
    if isinstance(body, str):
        return httpx.Response(status, text=body)
    return httpx.Response(status, json=body)


async def ask(client: ProviderClient) -> Any:
    (call,) = newsapi.build_everything(ReportsQuery(), CONTEXT)
    plan = newsapi.DEVELOPER
    assert plan.auth
    return await client.call(
        newsapi.ADAPTER, call, plan.base_urls[0], (plan.auth, SecretStr(KEY)), timeout_s=5.0
    )


@pytest.mark.parametrize(("status", "body", "kind"), ANSWERS)
async def test_a_refusal_becomes_the_error_that_says_what_to_do(
    client: ProviderClient,
    respx_mock: respx.MockRouter,
    status: int,
    body: Any,
    kind: type[ProviderError],
) -> None:
    respx_mock.get(ADDRESS).mock(return_value=response(status, body))
    with pytest.raises(ProviderError) as caught:
        await ask(client)
    assert (type(caught.value), caught.value.http_status) == (kind, status)


@pytest.mark.parametrize("status", [400, 401, 426, 429, 500])
@pytest.mark.parametrize("code", ["apiKeyInvalid", "rateLimited", KEY])
async def test_no_error_tells_the_key(
    client: ProviderClient, respx_mock: respx.MockRouter, status: int, code: str
) -> None:
    body = refusal(code, f"{KEY} is not a key")
    respx_mock.get(ADDRESS).mock(return_value=response(status, body))
    with pytest.raises(ProviderError) as caught:
        await ask(client)
    assert KEY not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"


async def test_a_good_answer_passes_with_the_key_in_its_header_only(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    route = respx_mock.get(ADDRESS).mock(return_value=response(200, page(article())))
    assert (await ask(client)).payload == page(article())
    request = route.calls.last.request
    assert request.headers["X-Api-Key"] == KEY
    assert KEY not in str(request.url)


NO_ERRORS: list[Any] = [
    page(article()),
    [],
    None,
    "error",
    HTML,
    7,
    refusal(None),
    refusal(["x"]),
    refusal(7),
]


@pytest.mark.parametrize("payload", NO_ERRORS, ids=repr)
def test_what_is_no_known_error_has_no_code(payload: Any) -> None:
    assert newsapi.error_code(payload) is None
