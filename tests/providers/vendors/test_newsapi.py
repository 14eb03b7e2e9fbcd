"""NewsAPI's own ways: withdrawn articles and the articles' text stay out, the key in a header.

What it shares with the other news API is in test_news_apis.py.
"""

from datetime import UTC, datetime
from typing import Any

import pytest
import respx

from backend.errors import ProviderError
from backend.models.news import Report, Reports
from backend.providers.client import ProviderClient
from backend.providers.vendors import newsapi
from tests.providers.vendors.news_apis import HTML, response, without
from tests.providers.vendors.news_apis import NEWSAPI as API


def test_an_article_becomes_a_report() -> None:
    assert API.only(API.row()) == Report(
        title="Coin 1 does something",
        url="https://coindaily.example/1",
        source="Coin Daily",
        published_at=datetime(2026, 11, 21, 7, 30, tzinfo=UTC),
        summary="It did it <b>again</b>.",
        image="https://coindaily.example/1.jpg",
    )


def test_the_text_of_an_article_is_not_used() -> None:
    found = API.reports(API.row(), API.row(2, description=None), API.row(3, description=""))
    assert "THE WHOLE TEXT" not in repr(found)
    assert [one.summary for one in found.reports][1:] == [None, None]


def test_a_field_missing_in_all_articles_is_unknown() -> None:
    rows = [without(API.row(n), "description", "urlToImage") for n in range(1, 4)]
    found = API.reports(*rows)
    assert [(one.summary, one.image) for one in found.reports] == [(None, None)] * 3
    assert found.refused == 0


def test_an_empty_page_is_an_answer() -> None:
    assert API.reports() == Reports(())


def test_one_call_requests_the_newest_100_with_crypto_words_in_title_or_description() -> None:
    params = dict(API.call.params)
    assert (API.call.path, API.call.max_bytes) == ("/v2/everything", 2 * 1024 * 1024)
    assert len(params.pop("q")) <= 500
    assert params == {
        "searchIn": "title,description",
        "language": "en",
        "sortBy": "publishedAt",
        "pageSize": "100",
    }


def refusal(code: Any, message: str = "No.") -> dict[str, Any]:
    return {"status": "error", "code": code, "message": message}


@pytest.mark.parametrize("code", ["rateLimited", API.key])
async def test_no_error_contains_a_code_with_the_key(
    client: ProviderClient, respx_mock: respx.MockRouter, code: str
) -> None:
    body = refusal(code, f"{API.key} is not a key")
    respx_mock.get(API.address).mock(return_value=response(429, body))
    with pytest.raises(ProviderError) as caught:
        await API.ask(client)
    assert API.key not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"


async def test_a_good_answer_passes_with_the_key_in_its_header_only(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    page = API.page(API.row())
    route = respx_mock.get(API.address).mock(return_value=response(200, page))
    assert (await API.ask(client)).payload == page
    request = route.calls.last.request
    assert request.headers["X-Api-Key"] == API.key
    assert API.key not in str(request.url)


@pytest.mark.parametrize(
    "payload",
    [API.page(API.row()), [], None, "error", HTML, 7, *map(refusal, (None, ["x"], 7))],
    ids=repr,
)
def test_an_answer_without_a_known_error_has_no_error_code(payload: Any) -> None:
    assert newsapi.error_code(payload) is None
