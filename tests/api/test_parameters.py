"""Query parameters: unknown names, repeats and empty values are refused."""

from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Header, Request, Response
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator

from api.routes.checked_routes import (
    MAX_REMEMBERED_LENGTH,
    MAX_REMEMBERED_URLS,
    CheckedRoute,
    RememberedCalls,
)
from api.routes.parameters import ALIASES, MAX_NAME_LENGTH, MAX_NAMED, suggestions
from backend.errors import UnknownParameter
from backend.models.chains import CHAINS
from tests.api.conftest import Serve

ROUTES = (
    "/api/market",
    "/api/market/bitcoin",
    "/api/market/ohlc?symbol=BTC",
    "/api/news",
    "/api/sentiment",
    "/api/gas",
    "/api/status",
    "/api/status/explain",
    "/api/stream",
    "/metrics",
    "/healthz",
    "/readyz",
)
ALLOWED = {
    "/api/market": "limit offset symbols ids sort sparkline currency vs_currency format".split(),
    "/api/market/ohlc": (
        "symbol interval limit start end include_open currency vs_currency format".split()
    ),
    "/api/news": "limit symbols source sentiment since format".split(),
    "/api/sentiment": "days format".split(),
    "/api/gas": "chain format".split(),
    "/api/stream": "channels symbols interval chain".split(),
}


def with_query(path: str, query: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{query}"


async def refused(client: httpx.AsyncClient, path: str, code: str) -> dict[str, Any]:
    answer = await client.get(path)
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (422, code), path
    assert answer.headers["content-type"] == "application/problem+json"
    return problem


@pytest.mark.parametrize("path", ROUTES)
async def test_an_unknown_parameter_is_refused_on_every_route(
    reader: httpx.AsyncClient, path: str
) -> None:
    problem = await refused(reader, with_query(path, "nonsense=1"), "unknown_parameter")
    assert (problem["parameter"], problem["suggestions"]) == ("nonsense", [])
    assert "nonsense" in problem["detail"]
    head = await reader.head(with_query(path, "nonsense=1"))
    assert (head.status_code, head.content) == (422, b"")


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/redoc", "/openapi.json", "/assets/docs/favicon.png"]
)
async def test_pages_accept_any_parameter(reader: httpx.AsyncClient, path: str) -> None:
    assert (await reader.get(f"{path}?_=1795334400")).status_code == 200


@pytest.mark.parametrize(
    ("path", "sent", "meant"),
    [
        ("/api/market", "symbol", "symbols"),
        ("/api/market", "symbols[]", "symbols"),
        ("/api/market", "symbols[0]", "symbols"),
        ("/api/market", "Symbols", "symbols"),
        ("/api/market", "LIMIT", "limit"),
        ("/api/market", "limt", "limit"),
        ("/api/market", "per_page", "limit"),
        ("/api/market", "perPage", "limit"),
        ("/api/market", "page", "offset"),
        ("/api/market", "order", "sort"),
        ("/api/market", "vsCurrency", "vs_currency"),
        ("/api/market", "convert", "currency"),
        ("/api/market/ohlc", "symbols", "symbol"),
        ("/api/market/ohlc", "coin", "symbol"),
        ("/api/market/ohlc", "startTime", "start"),
        ("/api/market/ohlc", "from", "start"),
        ("/api/market/ohlc", "timeframe", "interval"),
        ("/api/market/ohlc", "include-open", "include_open"),
        ("/api/news", "from", "since"),
        ("/api/news", "currencies", "symbols"),
        ("/api/sentiment", "limit", "days"),
        ("/api/gas", "network", "chain"),
        ("/api/stream", "channel", "channels"),
    ],
)
async def test_the_likeliest_suggestion_comes_first(
    reader: httpx.AsyncClient, path: str, sent: str, meant: str
) -> None:
    answer = await reader.get(path, params={sent: "1"})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "unknown_parameter")
    assert problem["parameter"] == sent
    assert problem["suggestions"][0] == meant
    assert problem["allowed"] == ALLOWED[path]


async def test_all_unknown_parameters_are_named(reader: httpx.AsyncClient) -> None:
    path = "/api/market?symbol=BTC&limit=0&per_page=5&symbol=ETH&nonsense="
    problem = await refused(reader, path, "unknown_parameter")
    suggested = {row["parameter"]: row["suggestions"] for row in problem["errors"]}
    assert suggested == {"symbol": ["symbols"], "per_page": ["limit"], "nonsense": []}
    assert all(row["allowed"] == ALLOWED["/api/market"] for row in problem["errors"])
    assert problem["parameter"] == "symbol"


async def test_an_error_names_a_bounded_number_of_unknown_parameters(
    reader: httpx.AsyncClient,
) -> None:
    names = [f"{number}{'x' * 200}" for number in range(100)]
    answer = await reader.get("/api/gas?" + "&".join(f"{name}=1" for name in names))
    problem = answer.json()
    assert len(problem["errors"]) == MAX_NAMED
    assert problem["parameter"] == f"{names[0][:MAX_NAME_LENGTH]}…"
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "query",
    [
        "limit=10&limit=10",
        "limit=",
        "limit",
        "offset=",
        "symbols=",
        "ids=",
        "sort=",
        "format=",
        "currency=",
    ],
)
async def test_a_parameter_that_is_repeated_or_empty_is_named(
    reader: httpx.AsyncClient, query: str
) -> None:
    problem = await refused(reader, f"/api/market?{query}", "invalid_parameter")
    assert [row["parameter"] for row in problem["errors"]] == [query.partition("=")[0]]


@pytest.mark.parametrize("query", ["since=", "source=", "sentiment=", "symbols="])
async def test_an_empty_filter_of_news_is_refused(reader: httpx.AsyncClient, query: str) -> None:
    await refused(reader, f"/api/news?{query}", "invalid_parameter")


@pytest.mark.parametrize("name", ["start", "end"])
async def test_an_empty_time_is_refused(reader: httpx.AsyncClient, name: str) -> None:
    await refused(reader, f"/api/market/ohlc?symbol=BTC&{name}=", "invalid_parameter")


async def test_an_empty_value_is_refused_with_the_allowed_ones(reader: httpx.AsyncClient) -> None:
    problem = await refused(reader, "/api/market?limit=", "invalid_parameter")
    assert problem["errors"][0]["allowed"] == ["1 to 250"]


MONEY = ("/api/market", "/api/market/bitcoin", "/api/market/ohlc?symbol=BTC")


@pytest.mark.parametrize("name", ["currency", "vs_currency"])
@pytest.mark.parametrize("path", MONEY)
async def test_unknown_currencies_are_refused_with_the_available_ones(
    reader: httpx.AsyncClient, path: str, name: str
) -> None:
    plain = (await reader.get(path)).json()["data"]
    for spelling in ("usd", "USD", "Usd"):
        answer = await reader.get(with_query(path, f"{name}={spelling}"))
        assert answer.json()["data"] == plain
    for other in ("xyz", "usdt", "us d", "%00"):
        problem = await refused(reader, with_query(path, f"{name}={other}"), "unsupported")
        assert problem["parameter"] == name
        assert problem["available"][:3] == ["usd", "eur", "gbp"]


@pytest.mark.parametrize("path", MONEY)
async def test_both_names_of_the_currency_at_once_are_refused(
    reader: httpx.AsyncClient, path: str
) -> None:
    path = with_query(path, "currency=usd&vs_currency=usd")
    problem = await refused(reader, path, "invalid_parameter")
    assert problem["errors"][0]["parameter"] == "vs_currency"


async def test_chains_other_than_ethereum_are_refused(reader: httpx.AsyncClient) -> None:
    for spelling in ("ethereum", "Ethereum"):
        answer = await reader.get(f"/api/gas?chain={spelling}")
        assert answer.json()["data"]["chain"] == "ethereum"
    problem = await refused(reader, "/api/gas?chain=dogecoin", "unsupported")
    assert (problem["parameter"], problem["available"]) == ("chain", list(CHAINS))


async def test_a_space_in_a_time_zone_is_read_as_plus(
    reader: httpx.AsyncClient,
) -> None:
    path = "/api/market/ohlc?symbol=BTC&start=2026-11-20T00:00:00{}00:00&limit=2"
    escaped, bare = [await reader.get(path.format(plus)) for plus in ("%2B", "+")]
    assert escaped.status_code == bare.status_code == 200
    assert bare.json()["data"] == escaped.json()["data"]
    assert (await reader.get("/api/news?since=2026-11-20T00:00:00+00:00")).status_code == 200


async def test_keys_are_checked_before_parameters(serve: Serve) -> None:
    client = await serve(GATEWAY_API_KEYS="one-gateway-key")
    assert (await client.get("/api/gas?nonsense=1")).status_code == 401


@given(st.text(max_size=70))
def test_suggestions_are_allowed_names(name: str) -> None:
    for allowed in ALLOWED.values():
        found = suggestions(name, allowed)
        assert set(found) <= set(allowed)
        assert len(set(found)) == len(found) <= 3


def test_every_alias_leads_to_a_parameter_of_some_route() -> None:
    known = {name for allowed in ALLOWED.values() for name in allowed}
    assert {one for meant in ALIASES.values() for one in meant} <= known


def remembering(calls: list[str]) -> httpx.AsyncClient:
    """An application with two checked routes. One adds each validated value to `calls`, the other
    depends on a header."""

    def validated(value: str) -> str:
        calls.append(value)
        return value

    router = APIRouter(route_class=CheckedRoute)

    @router.get("/coins/{coin}")
    async def read(
        request: Request, coin: str, name: Annotated[str, AfterValidator(validated)] = "-"
    ) -> Response:
        return Response(f"{coin} {name} {request.headers.get('x-test', '')}")

    @router.get("/header")
    async def read_header(request: Request, x_test: Annotated[str, Header()]) -> Response:
        return Response(x_test)

    app = FastAPI()
    app.include_router(router)
    transport = httpx.ASGITransport(RememberedCalls(app))
    return httpx.AsyncClient(transport=transport, base_url="http://gateway.test")


async def test_the_arguments_of_a_url_are_validated_once() -> None:
    calls: list[str] = []
    client = remembering(calls)
    urls = ["/coins/a?name=x", "/coins/b?name=x", "/coins/a?name=y"]
    for test in ("1", "2"):
        texts = [(await client.get(url, headers={"x-test": test})).text for url in urls]
        assert texts == [f"a x {test}", f"b x {test}", f"a y {test}"]
    assert calls == ["x", "x", "y"]


async def test_an_endpoint_that_depends_on_a_header_is_not_remembered() -> None:
    client = remembering([])
    for test in ("1", "2"):
        assert (await client.get("/header", headers={"x-test": test})).text == test


async def test_the_remembered_urls_are_bounded_in_number_and_length() -> None:
    calls: list[str] = []
    client = remembering(calls)
    for _ in range(2):
        long = {"name": "n" * MAX_REMEMBERED_LENGTH}
        assert (await client.get("/coins/a", params=long)).is_success
    assert len(calls) == 2
    for number in range(MAX_REMEMBERED_URLS + 1):
        await client.get(f"/coins/{number}?name=x")
    calls.clear()
    await client.get(f"/coins/{MAX_REMEMBERED_URLS}?name=x")
    await client.get("/coins/0?name=x")
    assert calls == ["x"]


async def test_an_invalid_url_is_refused_each_time() -> None:
    client = remembering([])
    for _ in range(2):
        with pytest.raises(UnknownParameter):
            await client.get("/coins/a?other=x")
