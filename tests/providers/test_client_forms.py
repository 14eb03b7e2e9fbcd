"""Other forms of calls: POST, bodies as bytes, and asking again by the last answer's validators."""

from collections.abc import AsyncIterator
from typing import Literal

import httpx
import pytest
import respx
from pydantic import SecretStr

from backend.errors import MalformedResponse, UpstreamFailed
from backend.providers.adapter import Adapter, Auth, Call
from backend.providers.client import ProviderClient
from backend.providers.conditional import MOST_BODIES
from tests.clocks import ManualClock
from tests.walk import stub_adapter

BASE_URL = "https://provider.example/feed"
ADAPTER: Adapter = stub_adapter()
FEED = Call(decode="bytes", conditional=True)


@pytest.fixture
async def client() -> AsyncIterator[ProviderClient]:
    async with ProviderClient(ManualClock()) as made:
        yield made


async def payload(client: ProviderClient, call: Call, base_url: str = BASE_URL) -> object:
    return (await client.call(ADAPTER, call, base_url, None, 5.0)).payload


async def test_a_json_body_makes_it_a_post(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    route = respx_mock.post(BASE_URL).respond(json=[1])
    assert await payload(client, Call(json_body=b'{"id":1}')) == [1]
    request = route.calls.last.request
    assert request.content == b'{"id":1}'
    assert request.headers["content-type"] == "application/json"


async def test_a_body_of_bytes_is_returned_unchanged(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    route = respx_mock.get(BASE_URL).respond(content=b"<rss/>")
    assert await payload(client, Call(decode="bytes")) == b"<rss/>"
    assert route.calls.last.request.headers["accept"] == "*/*"


async def test_an_empty_body_of_bytes_is_malformed(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    respx_mock.get(BASE_URL).respond(content=b"")
    with pytest.raises(MalformedResponse):
        await payload(client, Call(decode="bytes"))


async def test_a_304_returns_the_last_body(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    modified = "Sun, 22 Nov 2026 07:00:00 GMT"
    headers = {"ETag": '"one"', "Last-Modified": modified}
    route = respx_mock.get(BASE_URL)
    route.side_effect = [
        httpx.Response(200, content=b"<rss>1</rss>", headers=headers),
        httpx.Response(304),
        httpx.Response(304),
        httpx.Response(200, content=b"<rss>2</rss>", headers={"ETag": '"two"'}),
        httpx.Response(304),
    ]
    bodies = [await payload(client, FEED) for _ in range(5)]
    assert bodies == [b"<rss>1</rss>"] * 3 + [b"<rss>2</rss>"] * 2
    asked = [call.request.headers for call in route.calls]
    assert "if-none-match" not in asked[0]
    assert (asked[1]["if-none-match"], asked[1]["if-modified-since"]) == ('"one"', modified)
    assert asked[4]["if-none-match"] == '"two"'
    assert "if-modified-since" not in asked[4]


async def test_an_error_does_not_replace_the_last_body(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    route = respx_mock.get(BASE_URL)
    route.side_effect = [
        httpx.Response(200, content=b"<rss/>", headers={"ETag": '"one"'}),
        httpx.Response(500, content=b"oops", headers={"ETag": '"bad"'}),
        httpx.Response(304),
    ]
    assert await payload(client, FEED) == b"<rss/>"
    with pytest.raises(UpstreamFailed):
        await payload(client, FEED)
    assert await payload(client, FEED) == b"<rss/>"


async def test_a_304_without_a_known_body_is_malformed(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    respx_mock.get(BASE_URL).respond(304)
    with pytest.raises(MalformedResponse):
        await payload(client, FEED)


async def test_an_answer_without_validators_is_not_requested_conditionally(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    route = respx_mock.get(BASE_URL).respond(content=b"<rss/>")
    for _ in range(2):
        await payload(client, FEED)
    assert "if-none-match" not in route.calls.last.request.headers


async def test_a_forgotten_body_is_not_requested_conditionally(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    route = respx_mock.get(BASE_URL).respond(content=b"soon back", headers={"ETag": '"one"'})
    await payload(client, FEED)
    client.forget(BASE_URL)
    await payload(client, FEED)
    assert "if-none-match" not in route.calls.last.request.headers


async def test_an_unchanged_body_is_requested_again_after_an_hour(
    respx_mock: respx.MockRouter,
) -> None:
    clock = ManualClock()
    route = respx_mock.get(BASE_URL).respond(content=b"<rss/>", headers={"ETag": '"one"'})
    async with ProviderClient(clock) as client:
        await payload(client, FEED)
        clock.advance(3_600)
        await payload(client, FEED)
    assert "if-none-match" not in route.calls.last.request.headers


@pytest.mark.parametrize("place", ["header", "query"])
async def test_an_echoed_key_is_redacted_before_the_body_is_parsed(
    client: ProviderClient, respx_mock: respx.MockRouter, place: Literal["header", "query"]
) -> None:
    respx_mock.get(url__startswith=BASE_URL).respond(json={"next": "/?token=the-secret-key"})
    auth = Auth(place, "token"), SecretStr("the-secret-key")
    reply = await client.call(ADAPTER, Call(), BASE_URL, auth, 5.0)
    assert reply.payload == {"next": "/?token=[redacted]"}


@pytest.mark.parametrize("url", [f"{BASE_URL}/", f"{BASE_URL}?format=rss&n=1"])
async def test_without_a_path_the_base_url_is_the_address(
    client: ProviderClient, respx_mock: respx.MockRouter, url: str
) -> None:
    route = respx_mock.get(url__startswith=BASE_URL).respond(content=b"<rss/>")
    await payload(client, FEED, url)
    assert str(route.calls.last.request.url) == url


async def test_kept_bodies_are_bounded(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    respx_mock.get(url__regex=".*").respond(content=b"<rss/>", headers={"ETag": '"one"'})
    for number in range(MOST_BODIES + 5):
        await payload(client, FEED, f"{BASE_URL}/{number}")
    assert len(client._bodies._validated) == MOST_BODIES
