"""CryptoPanic's own ways: addresses, publishers, symbols, votes, and the token in its links.

What it shares with the other news API is in test_news_apis.py.
"""

from datetime import UTC, datetime
from typing import Any

import pytest
import respx

from backend.models.news import Report, ReportsQuery
from backend.providers.adapter import Call, Context
from backend.providers.client import ProviderClient
from backend.providers.vendors import cryptopanic
from tests.clocks import EPOCH_MS
from tests.providers.vendors.news_apis import CRYPTOPANIC as API
from tests.providers.vendors.news_apis import HTML, response, without


def test_a_post_becomes_a_report() -> None:
    assert API.only(API.row()) == Report(
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


def test_the_links_to_other_pages_with_the_token_are_ignored() -> None:
    assert API.key not in repr(API.reports(API.row()))


@pytest.mark.parametrize("absent", [None, ""])
def test_without_the_publishers_page_the_address_is_cryptopanics(absent: str | None) -> None:
    report = API.only(API.row(original_url=absent))
    assert report.url == "https://cryptopanic.com/news/1/coin-1-does-something"


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
    assert API.only(API.row(source=source)).source == name


def test_a_missing_field_is_unknown() -> None:
    report = API.only(without(API.row(), "source", "description", "image", "instruments", "votes"))
    assert (report.summary, report.image, report.symbols) == (None, None, ())
    assert (report.votes_for, report.votes_against) == (0, 0)


@pytest.mark.parametrize("name", ["description", "image", "instruments", "votes", "source"])
def test_null_is_the_same_as_a_missing_field(name: str) -> None:
    assert API.only(API.row() | {name: None}) == API.only(without(API.row(), name))


@pytest.mark.parametrize(
    ("instruments", "symbols"),
    [
        ([{"code": "aaa"}, {"code": "AAA"}], ("AAA",)),
        ([{"code": None}, {"title": "nameless"}, {"code": "AAA"}], ("AAA",)),
        ([], ()),
    ],
)
def test_symbols_are_upper_case_and_named_once(instruments: Any, symbols: tuple[str, ...]) -> None:
    assert API.only(API.row(instruments=instruments)).symbols == symbols


@pytest.mark.parametrize(
    "votes", [{}, {"positive": None}, {"important": 9, "lol": 9, "saved": 9, "comments": 9}]
)
def test_only_votes_for_or_against_count(votes: Any) -> None:
    report = API.only(API.row(votes=votes))
    assert (report.votes_for, report.votes_against) == (0, 0)


def test_an_offset_is_honoured() -> None:
    report = API.only(API.row(published_at="2026-11-22T03:30:00-04:00"))
    assert report.published_at == datetime(2026, 11, 22, 7, 30, tzinfo=UTC)


def test_an_empty_page_is_an_answer() -> None:
    assert API.reports().reports == ()


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


async def test_a_good_answer_passes_with_the_token_in_the_query(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    page = API.page(API.row())
    route = respx_mock.get(API.address).mock(return_value=response(200, page))
    payload = (await API.ask(client)).payload
    assert payload["results"] == page["results"]
    assert API.key not in repr(payload)
    assert "auth_token=[redacted]" in payload["next"]
    assert route.calls.last.request.url.params["auth_token"] == API.key


@pytest.mark.parametrize(
    "payload",
    [API.page(API.row()), {"status": "ok", "info": "quota"}, [], None, "api_error", HTML, 7],
)
def test_an_answer_without_an_error_has_no_error_code(payload: Any) -> None:
    assert cryptopanic.error_code(payload) is None


@pytest.mark.parametrize("info", [None, 7, [], "something else"])
def test_an_unknown_error_is_a_refusal(info: Any) -> None:
    assert cryptopanic.error_code({"status": "api_error", "info": info}) == "refused"
