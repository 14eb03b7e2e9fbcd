"""The HTTP edge: what comes back, or fails to, and which of our errors it becomes."""

import asyncio
import errno
import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import respx
from pydantic import SecretStr

from backend.errors import (
    AuthFailed,
    ConnectFailed,
    ConnectionBroken,
    GeoBlocked,
    HostLacksPath,
    MalformedResponse,
    Moved,
    NoDescriptor,
    PlanRestricted,
    ProviderError,
    ProviderTimeout,
    QueryRefused,
    QuotaSpent,
    RateLimited,
    UpstreamFailed,
)
from backend.providers.adapter import Adapter, Auth, Call
from backend.providers.client import USER_AGENT, ProviderClient, parsed
from backend.providers.vendors import binance, coingecko
from tests.clocks import EPOCH_MS, ManualClock

BASE_URL = "https://vendor.example/api"
ADDRESS = f"{BASE_URL}/things"
CALL = Call("/things")
PLAIN = Adapter("plain", ())
KEY = "CG-notarealkeynotarealkey"
DAY_S = 86_400.0


@pytest.fixture
async def client(clock: ManualClock, respx_mock: respx.MockRouter) -> AsyncIterator[ProviderClient]:
    assert respx_mock is not None, "the client must not find the network"
    async with ProviderClient(clock) as opened:
        yield opened


async def fail(client: ProviderClient, adapter: Adapter = PLAIN, **changes: Any) -> ProviderError:
    asked: dict[str, Any] = {
        "call": CALL,
        "base_url": BASE_URL,
        "auth": None,
        "timeout_s": 5.0,
    } | changes
    with pytest.raises(ProviderError) as caught:
        await client.call(adapter, **asked)
    return caught.value


def status_body(code: int, text: str = "no") -> dict[str, Any]:
    return {"status": {"timestamp": "2026-11-22T08:00:00.000Z", "error_code": code, "x": text}}


HTML = "<!DOCTYPE html><html><title>Access denied</title></html>"
COINGECKO_ANSWERS: list[tuple[int, Any, type[ProviderError]]] = [
    (
        429,
        {"status": {"error_code": 429, "error_message": "Slow down, see our plans."}},
        RateLimited,
    ),
    (
        200,
        {"status": {"error_code": 429, "error_message": "Slow down, see our plans."}},
        RateLimited,
    ),
    (429, HTML, RateLimited),
    (401, status_body(10002), AuthFailed),
    (401, HTML, AuthFailed),
    (401, status_body(10005), PlanRestricted),
    (400, {"timestamp": "x", "error_code": 10010, "status": {"error_message": "host"}}, AuthFailed),
    (400, {"error_code": 10011, "status": {"error_message": "host"}}, AuthFailed),
    (401, {"error": {"status": {"timestamp": "x", "error_code": 10012}}}, QueryRefused),
    (400, {"error": "invalid vs_currency"}, QueryRefused),
    (404, {"error": "coin not found"}, QueryRefused),
    (422, {"error": "Missing parameter vs_currency"}, QueryRefused),
    (403, HTML, GeoBlocked),
    (408, {"error": "timeout"}, UpstreamFailed),
    (500, {"status": 500, "error": "Internal Server Error"}, UpstreamFailed),
    (503, HTML, UpstreamFailed),
]
BINANCE_ANSWERS: list[tuple[int, Any, type[ProviderError]]] = [
    (429, {"code": -1003, "msg": "Too much weight; 6000 per 1 MINUTE."}, RateLimited),
    (418, {"code": -1003, "msg": "Way too much weight."}, RateLimited),
    (418, HTML, RateLimited),
    (451, {"code": 0, "msg": "Not from a restricted location."}, GeoBlocked),
    (403, HTML, GeoBlocked),
    (400, {"code": -1121, "msg": "Invalid symbol."}, QueryRefused),
    (400, {"code": -1120, "msg": "Invalid interval."}, QueryRefused),
    (400, {"code": -1100, "msg": "Illegal characters."}, QueryRefused),
    (400, {"code": -1102, "msg": "Mandatory parameter missing."}, QueryRefused),
    (404, HTML, HostLacksPath),
    (404, {"code": -1000, "msg": "no such path"}, HostLacksPath),
    (400, {"code": -1000, "msg": "unknown"}, UpstreamFailed),
    (500, {"code": -1001, "msg": "disconnected"}, UpstreamFailed),
    (503, {"code": -1008, "msg": "busy"}, UpstreamFailed),
    (502, HTML, UpstreamFailed),
]


def response(status: int, body: Any, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, str):
        return httpx.Response(status, text=body, headers=named)
    return httpx.Response(status, json=body, headers=named)


@pytest.mark.parametrize(
    ("adapter", "status", "body", "kind"),
    [
        *((coingecko.ADAPTER, *answer) for answer in COINGECKO_ANSWERS),
        *((binance.ADAPTER, *answer) for answer in BINANCE_ANSWERS),
    ],
)
async def test_a_refusal_becomes_the_error_of_the_vendors_table(
    client: ProviderClient,
    respx_mock: respx.MockRouter,
    adapter: Adapter,
    status: int,
    body: Any,
    kind: type[ProviderError],
) -> None:
    respx_mock.get(ADDRESS).mock(return_value=response(status, body))
    error = await fail(client, adapter)
    assert (type(error), error.http_status) == (kind, status)
    assert error.retry_after_s is None


IN_90_S = "Sun, 22 Nov 2026 08:01:30 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "53"}, 53.0),
        ({"Retry_After": " 1.5 "}, 1.5),
        ({"Retry_After": IN_90_S}, 90.0),
        ({"Retry_After": IN_90_S, "Date": "Sun, 22 Nov 2026 08:01:00 GMT"}, 30.0),
        ({"Retry_After": IN_90_S, "Date": "today"}, 90.0),
        ({"Retry_After": str(10 * 86_400)}, 10 * DAY_S),
        ({"Retry_After": str(31 * 86_400)}, 31 * DAY_S),
        ({"Retry_After": str(10**9)}, None),
        ({"Retry_After": str(10**12)}, None),
        ({"Retry_After": "Sun, 22 Nov 2037 08:00:00 GMT"}, None),
        ({"Retry_After": "Sun, 22 Nov 2026 07:00:00 GMT"}, None),
        ({}, None),
        ({"Retry_After": ""}, None),
        ({"Retry_After": "0"}, None),
        ({"Retry_After": "-5"}, None),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "nan"}, None),
        ({"Retry_After": "1e3"}, None),
        ({"Retry_After": "Fri, 99 Nov 2026 08:00:00 GMT"}, None),
        ({"Retry_After": "Fri, 31 Dec 9999 23:59:59 -1200"}, None),
        ({"Retry_After": "1 Jan 99999999999999999999 00:00:00 GMT"}, None),
        ({"Retry_After": "60", "Date": "1 Jan 99999999999999999999 00:00:00 GMT"}, 60.0),
    ],
)
async def test_retry_after_is_read_as_seconds_or_as_a_plausible_date(
    client: ProviderClient,
    respx_mock: respx.MockRouter,
    headers: dict[str, str],
    seconds: float | None,
) -> None:
    respx_mock.get(ADDRESS).mock(return_value=response(429, {"error": "slow down"}, **headers))
    error = await fail(client)
    assert (type(error), error.retry_after_s) == (RateLimited, seconds)


@pytest.mark.parametrize("status", [500, 503])
async def test_retry_after_applies_to_an_outage_too(
    client: ProviderClient, respx_mock: respx.MockRouter, status: int
) -> None:
    respx_mock.get(ADDRESS).mock(return_value=response(status, HTML, Retry_After="120"))
    error = await fail(client)
    assert (type(error), error.retry_after_s) == (UpstreamFailed, 120.0)


@pytest.mark.parametrize(
    ("until_ms", "headers", "seconds"),
    [
        (EPOCH_MS + 600_000, {"Retry_After": "300"}, 300.0),
        (EPOCH_MS + 600_000, {}, 600.0),
        (EPOCH_MS + 600_000, {"Retry_After": "soon"}, 600.0),
        (EPOCH_MS + 3 * 86_400_000, {}, 3 * DAY_S),
        (EPOCH_MS + 90 * 86_400_000, {}, None),
        (EPOCH_MS + 600_000, {"Retry_After": "0"}, 600.0),
        (EPOCH_MS - 1, {}, None),
    ],
)
async def test_the_end_of_a_ban_is_in_its_header_else_in_its_text(
    client: ProviderClient,
    respx_mock: respx.MockRouter,
    until_ms: int,
    headers: dict[str, str],
    seconds: float | None,
) -> None:
    body = {"code": -1003, "msg": f"Way too much; IP banned until {until_ms}. Use streams."}
    respx_mock.get(ADDRESS).mock(return_value=response(418, body, **headers))
    error = await fail(client, binance.ADAPTER)
    assert (type(error), error.retry_after_s) == (RateLimited, seconds)


@pytest.mark.parametrize(
    "text",
    [
        "You have used your monthly credits",
        "Your plan's QUOTA is used up",
        "Daily limit reached",
        "100 requests per day",
        "limited to 100/day",
    ],
)
async def test_a_text_about_a_month_or_a_day_is_a_spent_quota_without_a_time(
    client: ProviderClient, respx_mock: respx.MockRouter, text: str
) -> None:
    body = {"status": {"error_code": 429, "error_message": text}}
    respx_mock.get(ADDRESS).mock(return_value=response(429, body))
    error = await fail(client, coingecko.ADAPTER)
    assert (type(error), error.retry_after_s) == (QuotaSpent, None)


@pytest.mark.parametrize(
    "body",
    [
        HTML.encode(),
        b"",
        b" ",
        b"null",
        b'[{"id": "bitcoin", "current_pri',
        b'[{"current_price": nan}]',
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_a_success_without_json_is_malformed(
    client: ProviderClient, respx_mock: respx.MockRouter, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    respx_mock.get(ADDRESS).mock(return_value=httpx.Response(200, content=body, headers=headers))
    error = await fail(client, coingecko.ADAPTER)
    assert (type(error), error.http_status) == (MalformedResponse, 200)


@pytest.mark.parametrize("status", [204, 301, 302, 307, 308, 304])
async def test_a_redirect_without_location_or_content_is_malformed(
    client: ProviderClient, respx_mock: respx.MockRouter, status: int
) -> None:
    moved = {"Location": "https://elsewhere.example/"}
    route = respx_mock.get(ADDRESS).mock(return_value=httpx.Response(status, headers=moved))
    error = await fail(client)
    assert (type(error), error.http_status) == (MalformedResponse, status)
    assert route.call_count == 1


class Stream(httpx.AsyncByteStream):
    """Gives `[`, then spaces for as long as it is read; with `stalls`, nothing more."""

    def __init__(self, *, stalls: bool = False) -> None:
        self.given = 0
        self.is_closed = False
        self._stalls = stalls

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"["
        if self._stalls:
            await asyncio.Event().wait()
        while self.given < 1_000:
            self.given += 1
            yield b" " * 1_000

    async def aclose(self) -> None:
        self.is_closed = True


async def test_a_body_over_its_limit_is_not_read_to_the_end(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    stream = Stream()
    respx_mock.get(ADDRESS).mock(return_value=httpx.Response(200, stream=stream))
    error = await fail(client, call=Call("/things", max_bytes=10_000))
    assert type(error) is MalformedResponse
    assert stream.given == 10
    assert stream.is_closed


@pytest.mark.parametrize(("spare", "fits"), [(0, True), (-1, False)])
async def test_the_limit_applies_to_the_decompressed_body(
    client: ProviderClient, respx_mock: respx.MockRouter, spare: int, fits: bool
) -> None:
    body = b"[" + b" " * 50_000 + b"]"
    packed = httpx.ByteStream(gzip.compress(body))
    respx_mock.get(ADDRESS).mock(
        return_value=httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=packed)
    )
    call = Call("/things", max_bytes=len(body) + spare)
    if fits:
        assert (await client.call(PLAIN, call, BASE_URL, None, 5.0)).payload == []
    else:
        assert type(await fail(client, call=call)) is MalformedResponse


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("/api/other", "https://vendor.example/api/other"),
        (f"{ADDRESS}/?page=2#part", f"{ADDRESS}/?page=2"),
        ("things/", f"{ADDRESS}/"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_within_the_host_raises_moved(
    client: ProviderClient, respx_mock: respx.MockRouter, status: int, location: str, there: str
) -> None:
    moved_to = {"Location": location}
    respx_mock.get(ADDRESS).mock(return_value=httpx.Response(status, headers=moved_to))
    error = await fail(client)
    assert isinstance(error, Moved)
    assert error.location == there


async def test_the_call_to_the_new_location_has_the_key(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    route = respx_mock.get("https://vendor.example/new?page=2").mock(
        return_value=httpx.Response(200, json=[1])
    )
    call = Call("/things", (("page", "1"),), moved_to="https://vendor.example/new?page=2")
    reply = await client.call(PLAIN, call, BASE_URL, (HEADER_AUTH, SecretStr(KEY)), 5.0)
    assert reply.payload == [1]
    assert route.calls[0].request.headers[HEADER_AUTH.name] == KEY
    assert KEY not in repr(call)
    assert "new" not in repr(call)


@pytest.mark.parametrize(
    "location",
    [
        "https://elsewhere.example/api/things",
        "//elsewhere.example/api/things",
        "http://vendor.example/api/things",  # the key would go out in the clear
        "https://vendor.example:8443/api/things",
        "https://vendor.example.evil.example/",
        "https://vendor.example@evil.example/",
        "ftp://vendor.example/",
    ],
)
async def test_a_redirect_to_another_host_is_refused(
    client: ProviderClient, respx_mock: respx.MockRouter, location: str
) -> None:
    respx_mock.get(ADDRESS).mock(return_value=httpx.Response(302, headers={"Location": location}))
    assert type(await fail(client)) is MalformedResponse


async def test_a_redirect_from_http_to_https_of_the_host_is_accepted(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    respx_mock.get("http://vendor.example/api/things").mock(
        return_value=httpx.Response(301, headers={"Location": ADDRESS})
    )
    error = await fail(client, base_url="http://vendor.example/api")
    assert isinstance(error, Moved)
    assert error.location == ADDRESS


@pytest.mark.parametrize(("status", "kind"), [(302, MalformedResponse), (308, Moved)])
async def test_a_post_is_redirected_only_if_it_stays_a_post(
    client: ProviderClient, respx_mock: respx.MockRouter, status: int, kind: type[ProviderError]
) -> None:
    respx_mock.post(ADDRESS).mock(
        return_value=httpx.Response(status, headers={"Location": "/elsewhere"})
    )
    assert type(await fail(client, call=Call("/things", json_body=b"{}"))) is kind


@pytest.mark.parametrize(
    ("trouble", "kind", "words"),
    [
        (httpx.ConnectError, ConnectFailed, "ConnectError"),
        (httpx.ProxyError, ConnectFailed, "ProxyError"),
        (httpx.ReadError, ConnectionBroken, "the connection broke before the answer was complete"),
        (httpx.WriteError, ConnectionBroken, "the connection broke while the request was sent"),
        (httpx.RemoteProtocolError, ConnectionBroken, "the answer is not valid HTTP"),
    ],
)
async def test_a_connection_error_says_whether_the_request_was_sent(
    client: ProviderClient,
    respx_mock: respx.MockRouter,
    trouble: type[httpx.TransportError],
    kind: type[ProviderError],
    words: str,
) -> None:
    respx_mock.get(ADDRESS).mock(side_effect=trouble(f"no way to {ADDRESS}?key={KEY}"))
    error = await fail(client)
    assert type(error) is kind
    assert error.was_sent is (kind is ConnectionBroken)
    assert str(error) == words


class Lacking(httpx.AsyncBaseTransport):
    """Fails as httpx does when a connection can't be opened; the causes go in a circle."""

    def __init__(self, number: int) -> None:
        self._number = number

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        lack, failed = OSError(self._number, "?"), OSError("All connection attempts failed")
        failed.__cause__ = lack
        lack.__cause__ = failed
        raise httpx.ConnectError("All connection attempts failed") from failed


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EMFILE, NoDescriptor),
        (errno.ENFILE, NoDescriptor),
        (errno.ECONNREFUSED, ConnectFailed),
    ],
)
async def test_a_lack_of_file_descriptors_is_not_the_providers_failure(
    clock: ManualClock, number: int, kind: type[ProviderError]
) -> None:
    async with ProviderClient(clock, Lacking(number)) as client:
        error = await fail(client)
    assert type(error) is kind
    assert (error.effect is None) is (kind is NoDescriptor)
    assert error.was_sent is False


async def never(_request: httpx.Request) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError("it never answers")


async def test_a_host_that_never_answers_times_out(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    respx_mock.get(ADDRESS).mock(side_effect=never)
    assert type(await fail(client, timeout_s=0.05)) is ProviderTimeout


async def test_the_timeout_includes_the_body(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    stream = Stream(stalls=True)
    respx_mock.get(ADDRESS).mock(return_value=httpx.Response(200, stream=stream))
    assert type(await fail(client, timeout_s=0.05)) is ProviderTimeout
    assert stream.is_closed


async def test_a_cancelled_call_is_not_a_timeout(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    arrived = asyncio.Event()

    async def arrive(request: httpx.Request) -> httpx.Response:
        arrived.set()
        return await never(request)

    respx_mock.get(ADDRESS).mock(side_effect=arrive)
    task = asyncio.create_task(client.call(PLAIN, CALL, BASE_URL, None, 5.0))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_answer_is_its_headers_and_its_json(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    answer = response(200, [{"id": "a"}], X_MBX_Used_Weight_1M="42")
    respx_mock.get(ADDRESS).mock(return_value=answer)
    reply = await client.call(binance.ADAPTER, CALL, BASE_URL, None, 5.0)
    assert reply.payload == [{"id": "a"}]
    assert reply.headers["x-mbx-used-weight-1m"] == "42"


HEADER_AUTH = Auth("header", "x-cg-demo-api-key")
QUERY_AUTH = Auth("query", "apikey")


@pytest.mark.parametrize(
    ("auth", "header", "query"),
    [
        (None, None, "a=1&b=x%2Cy"),
        ((HEADER_AUTH, SecretStr(KEY)), KEY, "a=1&b=x%2Cy"),
        ((QUERY_AUTH, SecretStr(KEY)), None, f"a=1&b=x%2Cy&apikey={KEY}"),
    ],
)
async def test_a_request_has_the_user_agent_its_parameters_and_the_key(
    client: ProviderClient,
    respx_mock: respx.MockRouter,
    auth: tuple[Auth, SecretStr] | None,
    header: str | None,
    query: str,
) -> None:
    route = respx_mock.get(ADDRESS).mock(return_value=response(200, {}))
    call = Call("/things", (("a", "1"), ("b", "x,y")))
    await client.call(PLAIN, call, BASE_URL, auth, 5.0)
    request = route.calls.last.request
    assert request.url.query.decode() == query
    assert request.headers.get(HEADER_AUTH.name) == header
    assert request.headers["user-agent"] == USER_AGENT
    assert USER_AGENT.startswith("unified-crypto-data-platform/")


def everything_told(error: BaseException) -> str:
    inner = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return f"{error} {error!r} " + (everything_told(inner) if inner else "")


@pytest.mark.parametrize(
    "answer",
    [
        response(401, {"error_code": 10010, "msg": f"bad key {KEY} for {ADDRESS}"}),
        response(429, f"monthly quota of {KEY} at {ADDRESS}"),
        response(500, f"{ADDRESS}?apikey={KEY}"),
        response(200, f"{ADDRESS}?apikey={KEY}"),
        response(302, "", Location=f"{ADDRESS}?apikey={KEY}"),
        httpx.ConnectError(f"{ADDRESS}?apikey={KEY}"),
        httpx.ReadError(f"{ADDRESS}?apikey={KEY}"),
        never,
    ],
    ids=lambda answer: getattr(answer, "__name__", str(answer)),
)
@pytest.mark.parametrize("auth", [HEADER_AUTH, QUERY_AUTH], ids=lambda auth: auth.place)
async def test_no_error_contains_the_address_or_the_key(
    client: ProviderClient, respx_mock: respx.MockRouter, answer: Any, auth: Auth
) -> None:
    respx_mock.get(ADDRESS).mock(
        side_effect=None if isinstance(answer, httpx.Response) else answer,
        return_value=answer if isinstance(answer, httpx.Response) else None,
    )
    told = everything_told(
        await fail(client, coingecko.ADAPTER, auth=(auth, SecretStr(KEY)), timeout_s=0.05)
    )
    assert KEY not in told
    assert "vendor.example" not in told


def explode(detail: str) -> int:
    return int(detail)


def refuse(detail: str) -> int:
    raise QueryRefused(detail)


def test_the_result_of_a_parser_is_returned() -> None:
    assert parsed(explode, "7") == 7


def test_an_exception_of_a_parser_is_malformed_and_shows_only_its_type() -> None:
    with pytest.raises(MalformedResponse) as caught:
        parsed(explode, "<html>")
    assert str(caught.value) == "ValueError in explode"


def test_a_provider_error_of_a_parser_is_passed_on() -> None:
    with pytest.raises(QueryRefused, match="namesake"):
        parsed(refuse, "namesake")
