"""Whatever bytes stand in a request's head: an answer or a refusal, never an error of ours.

Straight to the application, as a server hands it over: httpx would not send most of this.
"""

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Message

from api.edge.problems import PROBLEM
from tests.fuzz.budget import budget
from tests.fuzz.gateway import Gateway, running

#: `/api/stream` would not end.
PATHS = (
    b"/",
    b"/docs",
    b"/openapi.json",
    b"/assets/docs/swagger-ui.css",
    b"/assets/docs/redoc.standalone.js",
    b"/api/market",
    b"/api/market/BTC",
    b"/api/market/ohlc",
    b"/api/news",
    b"/api/sentiment",
    b"/api/gas",
    b"/api/gas/",
    b"/api/status",
    b"/api/status/explain",
    b"/metrics",
    b"/healthz",
    b"/readyz",
    b"/ws",
    b"/nothing",
)
#: One of each kind: a page, a file, data, a redirect, nothing.
KINDS = (b"/", b"/assets/docs/swagger-ui.css", b"/api/gas", b"/api/gas/", b"/nothing")
#: Those that somebody on the way reads: we, Starlette, or the CORS layer.
NAMES = (
    b"accept-encoding",
    b"if-none-match",
    b"if-modified-since",
    b"if-range",
    b"range",
    b"accept",
    b"cookie",
    b"host",
    b"origin",
    b"authorization",
    b"x-api-key",
    b"x-request-id",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"last-event-id",
    b"content-length",
    b"content-type",
    b"access-control-request-method",
    b"access-control-request-headers",
)
#: What parsers stumble over.
ODD = (
    b"gzip;q=abc",
    b"gzip;q=1e999",
    b"bytes=0-",
    b"bytes=5-1,9-",
    b"bytes=-",
    b"bytes=" + b"0-," * 300,
    b'W/"',
    b'"',
    b"*",
    b"[::1",
    b"a/b?c#d",
    b"x:99999999",
    b"\xff\xfe",
    b"\xc2\xb2",
    b"=;=;\x01",
    b'$Version=1; a="\\',
    b"Thu, 99 Foo 2026 99:99:99 GMT",
    b"Sat, 01 Jan 99999999999999 00:00:00 +99999999",
    b"bearer",
    b"Bearer ",
    b"-1",
    b",",
    b"",
)
#: A server lets no line end and no NUL through.
BYTES = st.lists(st.integers(1, 255).filter(lambda byte: byte not in b"\r\n"), max_size=24).map(
    bytes
)
VALUES = st.sampled_from(ODD) | BYTES
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=4)
QUERIES = st.sampled_from([b"", b"&&=&", b"a[]=1", b"%", b"%ED%A0%80=%FF", b"+=+&;"]) | BYTES
TAILS = st.sampled_from([b"", b"/", b"//", b"%2F", b"/%00", b"/..%2f", b"/" + b"x" * 300]) | BYTES
METHODS = st.sampled_from(["GET", "HEAD", "OPTIONS"])

Asked = tuple[str, bytes, bytes, list[tuple[bytes, bytes]]]


@pytest.fixture(scope="module", params=["", "one-key-of-ours"], ids=["open", "locked"])
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    settings = {"CLIENT_RATE_LIMIT": "", "GATEWAY_API_KEYS": request.param, "TRUST_PROXY": "1"}
    with running(tmp_path_factory.mktemp("gateway"), **settings) as started:
        yield started


def scope_of(asked: Asked) -> dict[str, Any]:
    """As uvicorn tells of it: the path decoded, and as it came."""
    method, path, query, headers = asked
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode(errors="replace"),
        "raw_path": path,
        "root_path": "",
        "query_string": query,
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 7860),
    }


async def answer_of(gateway: Gateway, asked: Asked) -> tuple[int, dict[bytes, bytes], bytes]:
    messages: list[Message] = []
    is_read = False

    async def receive() -> Message:
        nonlocal is_read
        if is_read:
            await asyncio.Event().wait()
        is_read = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    async with asyncio.timeout(10):
        await gateway.app(scope_of(asked), receive, send)
    start, *rest = messages
    body = b"".join(message.get("body", b"") for message in rest)
    return start["status"], dict(start["headers"]), body


def assert_no_error_of_ours(gateway: Gateway, asked: Asked) -> None:
    status, headers, body = gateway.runner.run(answer_of(gateway, asked))
    assert status < 500 or (status, asked[1]) == (503, b"/readyz"), (asked, body)
    assert all(name.isascii() and b"\n" not in text for name, text in headers.items())
    if headers.get(b"content-type", b"").decode() == PROBLEM and asked[0] != "HEAD":
        assert orjson.loads(body)["status"] == status


@budget(75)
@given(METHODS, st.sampled_from(PATHS), st.just(b""), HEADERS)
@example("GET", b"/", b"", [(b"accept-encoding", b"gzip;q=abc")])
def test_headers_of_any_bytes_are_no_error_of_ours(
    gateway: Gateway, method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    assert_no_error_of_ours(gateway, (method, path, query, headers))


@budget(75)
@given(METHODS, st.sampled_from(PATHS), TAILS, QUERIES)
@example("GET", b"/nothing", b"", b"\x80")
def test_addresses_of_any_bytes_are_no_error_of_ours(
    gateway: Gateway, method: str, path: bytes, tail: bytes, query: bytes
) -> None:
    assert_no_error_of_ours(gateway, (method, path + tail, query, []))


@pytest.mark.parametrize("name", NAMES)
def test_each_odd_value_in_each_header_is_no_error_of_ours(gateway: Gateway, name: bytes) -> None:
    for path in KINDS:
        for value in ODD:
            assert_no_error_of_ours(gateway, ("GET", path, b"", [(name, value)]))
