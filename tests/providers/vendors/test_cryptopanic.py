"""CryptoPanic: posts in, reports out; the token that its links carry gets nowhere."""

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
    PlanRestricted,
    ProviderError,
    QuotaSpent,
    RateLimited,
    UpstreamFailed,
)
from backend.models.news import Report, Reports, ReportsQuery
from backend.providers.adapter import Call, Context, Plan
from backend.providers.client import ProviderClient, parsed
from backend.providers.vendors import cryptopanic
from tests.clocks import EPOCH, EPOCH_MS, ManualClock

KEY = "notarealtokennotarealtoken"
CONTEXT = Context("cryptopanic", "growth", EPOCH_MS)
ADDRESS = "https://cryptopanic.com/api/growth/v2/posts/"
NEXT = f"{ADDRESS}?auth_token={KEY}&public=true&page=2"
HTML = "<!DOCTYPE html><html><title>Not here</title></html>"


def post(number: int = 1, **changes: Any) -> dict[str, Any]:
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


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in post().items() if key != name}


def page(*rows: Any) -> dict[str, Any]:
    return {"next": NEXT, "previous": NEXT, "results": list(rows)}


def reports(*rows: Any) -> Reports:
    return parsed(cryptopanic.parse_posts, ReportsQuery(), [page(*rows)], CONTEXT)


def only(row: Any) -> Report:
    (report,) = reports(row).reports
    return report


def test_a_post_becomes_a_report() -> None:
    assert only(post()) == Report(
        title="Coin 1 does something",
        url="https://coindaily.example/1",
        source="Coin Daily",
        published_at=datetime(2026, 11, 22, 7, 30, tzinfo=UTC),
        summary="It did it <b>again</b>.",
        image="https://coindaily.example/1.jpg",
        symbols=("AAA", "BBB"),
        votes_for=15,
        votes_against=7,
    )


def test_the_links_to_other_pages_and_their_token_are_left_behind() -> None:
    assert KEY not in repr(reports(post()))


@pytest.mark.parametrize("row", [post(original_url=None), post(original_url="")])
def test_without_the_publishers_page_the_address_is_cryptopanics(row: Any) -> None:
    assert only(row).url == "https://cryptopanic.com/news/1/coin-1-does-something"


def test_a_post_without_any_address_is_left_out_and_the_rest_stays() -> None:
    bare = {name: post()[name] for name in ("id", "slug", "title", "published_at", "kind")}
    found = reports(post(1), bare, post(2))
    assert [one.title for one in found.reports] == [post(n)["title"] for n in (1, 2)]


def test_posts_without_any_address_are_no_answer() -> None:
    with pytest.raises(MalformedResponse):
        reports(post(original_url=None, url=None))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ({"title": "", "domain": "coindaily.example"}, "coindaily.example"),
        ({"title": None}, "CryptoPanic"),
        ({}, "CryptoPanic"),
        (None, "CryptoPanic"),
    ],
)
def test_a_publisher_without_a_name_is_its_domain_else_cryptopanic(source: Any, name: str) -> None:
    assert only(post(source=source)).source == name


def test_what_a_plan_leaves_out_is_unknown() -> None:
    left_out = ("source", "description", "image", "instruments", "votes")
    row = {name: value for name, value in post().items() if name not in left_out}
    report = only(row)
    assert (report.summary, report.image, report.symbols) == (None, None, ())
    assert (report.votes_for, report.votes_against) == (0, 0)


@pytest.mark.parametrize("name", ["description", "image", "instruments", "votes", "source"])
def test_null_is_the_same_as_left_out(name: str) -> None:
    assert only(post() | {name: None}) == only(without(name))


@pytest.mark.parametrize("image", ["", "/relative.jpg", "data:image/png;base64,AAAA", 7])
def test_an_image_without_an_address_is_none(image: Any) -> None:
    assert only(post(image=image)).image is None


@pytest.mark.parametrize(
    ("instruments", "symbols"),
    [
        ([{"code": "aaa"}, {"code": "AAA"}], ("AAA",)),
        ([{"code": None}, {"title": "nameless"}, {"code": "AAA"}], ("AAA",)),
        ([], ()),
    ],
)
def test_symbols_are_upper_case_and_named_once(instruments: Any, symbols: tuple[str, ...]) -> None:
    assert only(post(instruments=instruments)).symbols == symbols


@pytest.mark.parametrize(
    "votes", [{}, {"positive": None}, {"important": 9, "lol": 9, "saved": 9, "comments": 9}]
)
def test_only_votes_for_or_against_count(votes: Any) -> None:
    assert (only(post(votes=votes)).votes_for, only(post(votes=votes)).votes_against) == (0, 0)


def test_an_offset_is_honoured() -> None:
    assert only(post(published_at="2026-11-22T03:30:00-04:00")).published_at == datetime(
        2026, 11, 22, 7, 30, tzinfo=UTC
    )


@pytest.mark.parametrize(("ahead_s", "is_kept"), [(10_800, True), (10_801, False)])
def test_a_post_of_a_time_to_come_is_refused_and_counted(ahead_s: int, is_kept: bool) -> None:
    instant = (EPOCH + timedelta(seconds=ahead_s)).isoformat()
    found = reports(post(1), post(2, published_at=instant))
    assert (len(found.reports), found.refused) == (1 + is_kept, 1 - is_kept)


ABSURD = [
    {"title": None},
    {"title": ""},
    {"title": "x" * 1_001},
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
]


@pytest.mark.parametrize("change", ABSURD)
def test_up_to_half_of_a_page_may_be_absurd_and_is_left_out(
    change: dict[str, Any],
) -> None:
    found = reports(post(1, **change), post(2))
    assert (len(found.reports), found.refused) == (1, 1)
    with pytest.raises(MalformedResponse):
        reports(post(1, **change), post(3, **change), post(2))


@pytest.mark.parametrize("no_post", [None, [], "post", 7, True], ids=repr)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_row_that_is_no_post_costs_itself(no_post: Any, place: int) -> None:
    rows = [post(1), post(2)]
    rows.insert(place, no_post)
    found = reports(*rows)
    assert [one.title for one in found.reports] == [post(n)["title"] for n in (1, 2)]
    assert found.refused == 1


@pytest.mark.parametrize("name", ["title", "published_at"])
def test_a_post_without_a_key_that_it_needs_costs_itself(name: str) -> None:
    found = reports(post(1), without(name), post(2))
    assert (len(found.reports), found.refused) == (2, 1)


@pytest.mark.parametrize(("count", "is_taken"), [(200, True), (201, False)])
def test_ten_times_a_page_is_not_even_read(count: int, is_taken: bool) -> None:
    if is_taken:
        assert len(reports(*([post()] * count)).reports) == count
    else:
        with pytest.raises(MalformedResponse):
            reports(*([post(original_url=None, url=None)] * count), post())


NO_ROWS: list[Any] = [None, {}, "posts", [None], [7], ["x"], [[]], [{}], {"a": 1}]
JUNK: list[Any] = [{}, [], None, "", HTML, 7, float("nan")]
JUNK += [{"results": rows} for rows in NO_ROWS]


@pytest.mark.parametrize("payload", JUNK, ids=repr)
def test_junk_is_no_answer(payload: Any) -> None:
    with pytest.raises(MalformedResponse):
        parsed(cryptopanic.parse_posts, ReportsQuery(), [payload], CONTEXT)


@pytest.mark.parametrize("plan", ["growth", "growth_weekly", "enterprise"])
def test_one_call_for_all_coins_under_the_plans_own_path(plan: str) -> None:
    context = Context("cryptopanic", plan, EPOCH_MS)
    assert cryptopanic.build_posts(ReportsQuery(), context) == (
        Call(
            f"/api/{plan}/v2/posts/",
            (("public", "true"), ("kind", "news")),
            max_bytes=2 * 1024 * 1024,
        ),
    )


@pytest.mark.parametrize("plan", [cryptopanic.GROWTH, cryptopanic.GROWTH_WEEKLY])
def test_a_plans_spacing_makes_its_allowance_last(plan: Plan) -> None:
    allowance, spacing = plan.windows
    assert allowance.period_s / spacing.period_s <= allowance.limit


def api_error(info: str) -> dict[str, str]:
    return {"status": "api_error", "info": info}


SPENT = api_error("API monthly quota exceeded - Upgrade your API plan: /developers/")
ANSWERS: list[tuple[int, Any, type[ProviderError]]] = [
    (400, api_error("Token not found"), AuthFailed),
    (401, api_error("Token not found"), AuthFailed),
    (200, api_error("Token not found"), AuthFailed),
    (403, api_error("Token not found"), AuthFailed),
    (401, HTML, AuthFailed),
    (400, HTML, AuthFailed),
    (404, HTML, AuthFailed),
    (403, SPENT, QuotaSpent),
    (429, SPENT, QuotaSpent),
    (200, SPENT, QuotaSpent),
    (429, api_error("Slow down"), RateLimited),
    (403, api_error("Rate limit reached"), RateLimited),
    (403, api_error("Not on your plan"), PlanRestricted),
    (403, HTML, GeoBlocked),
    (403, "error code: 1010", GeoBlocked),
    (500, api_error("The token service is down"), UpstreamFailed),
    (502, HTML, UpstreamFailed),
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
    (call,) = cryptopanic.build_posts(ReportsQuery(), CONTEXT)
    plan = cryptopanic.GROWTH
    assert plan.auth
    return await client.call(
        cryptopanic.ADAPTER, call, plan.base_urls[0], (plan.auth, SecretStr(KEY)), timeout_s=5.0
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


@pytest.mark.parametrize("status", [200, 400, 403, 404, 429, 500])
async def test_no_error_tells_the_token(
    client: ProviderClient, respx_mock: respx.MockRouter, status: int
) -> None:
    body = api_error(f"Token {KEY} not found at {NEXT}")
    respx_mock.get(ADDRESS).mock(return_value=response(status, body))
    with pytest.raises(ProviderError) as caught:
        await ask(client)
    assert KEY not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"


async def test_a_good_answer_passes_with_the_token_in_the_query(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    route = respx_mock.get(ADDRESS).mock(return_value=response(200, page(post())))
    payload = (await ask(client)).payload
    assert payload["results"] == page(post())["results"]
    assert KEY not in repr(payload)
    assert "auth_token=[redacted]" in payload["next"]
    assert route.calls.last.request.url.params["auth_token"] == KEY


@pytest.mark.parametrize(
    "payload", [page(post()), {"status": "ok", "info": "quota"}, [], None, "api_error", HTML, 7]
)
def test_what_is_no_error_has_no_code(payload: Any) -> None:
    assert cryptopanic.error_code(payload) is None


@pytest.mark.parametrize("info", [None, 7, [], "something else"])
def test_an_error_that_nobody_knows_is_a_refusal(info: Any) -> None:
    assert cryptopanic.error_code({"status": "api_error", "info": info}) == "refused"
