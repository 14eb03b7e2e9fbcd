"""The rules that both news APIs follow: bad rows, sizes, junk, refusals, and keys kept secret."""

from datetime import timedelta
from typing import Any

import pytest
import respx

from backend.errors import (
    AuthFailed,
    GeoBlocked,
    MalformedResponse,
    PlanRestricted,
    ProviderError,
    QueryRefused,
    QuotaSpent,
    RateLimited,
    UpstreamFailed,
)
from backend.providers.adapter import Plan
from backend.providers.client import ProviderClient
from backend.providers.vendors import cryptopanic, newsapi
from tests.clocks import EPOCH
from tests.providers.vendors.news_apis import (
    CRYPTOPANIC,
    HTML,
    NEWS_APIS,
    NEWSAPI,
    NewsApi,
    response,
    without,
)

each_api = pytest.mark.parametrize("api", NEWS_APIS, ids=str)


@each_api
@pytest.mark.parametrize("image", [None, "", "/relative.jpg", "data:image/png;base64,AAAA", 7])
def test_an_image_without_a_url_is_none(api: NewsApi, image: Any) -> None:
    assert api.only(api.row(**{api.image: image})).image is None


@each_api
@pytest.mark.parametrize(("ahead_s", "is_kept"), [(10_800, True), (10_801, False)])
def test_a_row_dated_in_the_future_is_refused_and_counted(
    api: NewsApi, ahead_s: int, is_kept: bool
) -> None:
    instant = (EPOCH + timedelta(seconds=ahead_s)).isoformat()
    found = api.reports(api.row(1), api.row(2, **{api.time: instant}))
    assert (len(found.reports), found.refused) == (1 + is_kept, 1 - is_kept)


@pytest.mark.parametrize(
    ("api", "change"),
    [(api, change) for api in NEWS_APIS for change in api.absurd],
    ids=lambda one: str(one)[:40],
)
def test_up_to_half_of_a_page_may_be_malformed_and_is_left_out(
    api: NewsApi, change: dict[str, Any]
) -> None:
    found = api.reports(api.row(1, **change), api.row(2))
    assert (len(found.reports), found.refused) == (1, 1)
    with pytest.raises(MalformedResponse):
        api.reports(api.row(1, **change), api.row(3, **change), api.row(2))


@each_api
@pytest.mark.parametrize("no_row", [None, [], "article", 7, True], ids=repr)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_row_of_another_type_is_left_out(api: NewsApi, no_row: Any, place: int) -> None:
    rows = [api.row(1), api.row(2)]
    rows.insert(place, no_row)
    assert api.urls(*rows) == [api.row(n)[api.url] for n in (1, 2)]
    assert api.reports(*rows).refused == 1


@pytest.mark.parametrize(
    ("api", "name"),
    [
        *((CRYPTOPANIC, name) for name in ("title", "published_at")),
        *((NEWSAPI, name) for name in ("title", "url", "source", "publishedAt")),
    ],
    ids=str,
)
def test_a_row_without_a_required_field_is_left_out(api: NewsApi, name: str) -> None:
    rows = api.row(1), without(api.row(2), name), api.row(3)
    assert api.urls(*rows) == [api.row(n)[api.url] for n in (1, 3)]
    assert api.reports(*rows).refused == 1


@each_api
def test_more_than_200_rows_are_refused(api: NewsApi) -> None:
    assert len(api.reports(*([api.row()] * 200)).reports) == 200
    with pytest.raises(MalformedResponse):
        api.reports(api.row(), *([api.skipped] * 200))


@each_api
def test_rows_without_content_are_left_out_and_not_counted_as_refused(api: NewsApi) -> None:
    rows = api.skipped, api.row(1), api.skipped, api.skipped, api.row(2)
    assert api.urls(*rows) == [api.row(n)[api.url] for n in (1, 2)]
    assert api.reports(*rows).refused == 0
    with pytest.raises(MalformedResponse):
        api.reports(api.skipped)


@pytest.mark.parametrize("rows", [None, {}, "rows", [None], [7], ["x"], [[]], [{}]], ids=repr)
@each_api
def test_a_page_without_a_valid_row_is_malformed(api: NewsApi, rows: Any) -> None:
    (name,) = {"results", "articles"} & api.page().keys()
    with pytest.raises(MalformedResponse):
        api.parse(api.page() | {name: rows})


@each_api
def test_a_page_without_its_rows_is_malformed(api: NewsApi) -> None:
    with pytest.raises(MalformedResponse):
        api.parse(without(api.page(), "results", "articles"))


@pytest.mark.parametrize("plan", [cryptopanic.GROWTH, cryptopanic.GROWTH_WEEKLY, newsapi.DEVELOPER])
def test_the_second_window_spreads_the_quota_over_its_period(plan: Plan) -> None:
    allowance, spacing = plan.windows
    assert allowance.period_s / spacing.period_s <= allowance.limit


def info(text: str) -> dict[str, Any]:
    return CRYPTOPANIC.error(text)


def code(name: str, message: str = "No.") -> dict[str, str]:
    return {"status": "error", "code": name, "message": message}


SPENT = info("API monthly quota exceeded - Upgrade your API plan: /developers/")
CAP = "Developer accounts are limited to 100 requests over a 24 hour period (50 every 12 hours)."
CRYPTOPANIC_ANSWERS: list[tuple[int, Any, type[ProviderError]]] = [
    (400, info("Token not found"), AuthFailed),
    (401, info("Token not found"), AuthFailed),
    (200, info("Token not found"), AuthFailed),
    (403, info("Token not found"), AuthFailed),
    (401, HTML, AuthFailed),
    (400, HTML, AuthFailed),
    (404, HTML, AuthFailed),
    (403, SPENT, QuotaSpent),
    (429, SPENT, QuotaSpent),
    (200, SPENT, QuotaSpent),
    (429, info("Slow down"), RateLimited),
    (403, info("Rate limit reached"), RateLimited),
    (403, info("Not on your plan"), PlanRestricted),
    (403, HTML, GeoBlocked),
    (403, "error code: 1010", GeoBlocked),
    (500, info("The token service is down"), UpstreamFailed),
    (502, HTML, UpstreamFailed),
    (200, HTML, MalformedResponse),
]
NEWSAPI_ANSWERS: list[tuple[int, Any, type[ProviderError]]] = [
    (401, code("apiKeyMissing"), AuthFailed),
    (401, code("apiKeyInvalid"), AuthFailed),
    (401, code("apiKeyDisabled"), AuthFailed),
    (200, code("apiKeyInvalid"), AuthFailed),
    (401, HTML, AuthFailed),
    (429, code("apiKeyExhausted"), QuotaSpent),
    (429, code("rateLimited", CAP), QuotaSpent),
    (200, code("rateLimited", CAP), QuotaSpent),
    (429, code("rateLimited", "Too many requests within a second."), RateLimited),
    (429, HTML, RateLimited),
    (400, code("parametersMissing"), QueryRefused),
    (400, code("sourceDoesNotExist"), QueryRefused),
    (426, code("parameterInvalid", "too far in the past"), QueryRefused),
    (426, code("maximumResultsReached"), QueryRefused),
    (426, code("corsNotAllowed"), QueryRefused),
    (200, code("maximumResultsReached"), QueryRefused),
    (500, code("unexpectedError"), UpstreamFailed),
    (200, code("unexpectedError"), UpstreamFailed),
    (502, HTML, UpstreamFailed),
    (403, HTML, GeoBlocked),
    (200, HTML, MalformedResponse),
]


@pytest.mark.parametrize(
    ("api", "status", "body", "kind"),
    [
        *((CRYPTOPANIC, *answer) for answer in CRYPTOPANIC_ANSWERS),
        *((NEWSAPI, *answer) for answer in NEWSAPI_ANSWERS),
    ],
    ids=lambda one: str(one)[:40],
)
async def test_a_refusal_becomes_the_documented_error(
    client: ProviderClient,
    respx_mock: respx.MockRouter,
    api: NewsApi,
    status: int,
    body: Any,
    kind: type[ProviderError],
) -> None:
    respx_mock.get(api.address).mock(return_value=response(status, body))
    with pytest.raises(ProviderError) as caught:
        await api.ask(client)
    assert (type(caught.value), caught.value.http_status) == (kind, status)


@each_api
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 426, 429, 500])
async def test_no_error_contains_the_key(
    client: ProviderClient, respx_mock: respx.MockRouter, api: NewsApi, status: int
) -> None:
    body = api.error(f"Token {api.key} not found at {api.address}?auth_token={api.key}")
    respx_mock.get(api.address).mock(return_value=response(status, body))
    with pytest.raises(ProviderError) as caught:
        await api.ask(client)
    assert api.key not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
