"""Heads as HTTP has them: over real sockets, by the real server, on its three ways."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.types import Receive, Scope, Send

from api.server.bounded_http import BoundedHttp
from api.server.direct_http import DirectHttp
from api.server.hooks import ConnectionTimeouts, ServerHooks
from api.server.strict_http import is_host
from tests.api.raw import HANDSHAKE, StoredBodies, counted, get, said, serving_bare, statuses
from tests.api.stream.client import Served
from tests.api.stream.conftest import ServeStream

KEY = "a-gateway-key-1"
PROTOCOLS = pytest.mark.parametrize("protocol", [DirectHttp, BoundedHttp])


@pytest.fixture(params=["all", "HTTP_DIRECT", "PREPARED_ANSWERS"])
async def port(serve_stream: ServeStream, request: pytest.FixtureRequest) -> AsyncIterator[int]:
    """Of a gateway where /api/gas is a known answer, with all its ways around or without one."""
    settings = {"GATEWAY_API_KEYS": KEY}
    settings |= {} if request.param == "all" else {request.param: "false"}
    async with serve_stream(**settings) as served:
        assert statuses((await said(served.port, gas()))[0]) == [200]
        yield served.port


def gas(*lines: str, key: str = f"X-API-Key: {KEY}", **options: str) -> bytes:
    return get("/api/gas", key, *lines, **options)


SPACED = [
    gas(key=f"X-API-Key: {KEY} "),
    gas(key=f"X-API-Key:{KEY}\t "),
    gas(key=f"Authorization: Bearer {KEY} "),
    gas("Content-Length: 0 "),
    gas("Content-Length:\t0\t"),
    gas(host="Host: g \t"),
]
SOUND = ["g", "g:7860", "", "127.0.0.1:80", "[::1]:7860", "a_b-c.example.", "xn--bcher-kva.x"]
UNSOUND = [
    gas(host=""),
    gas("Host: g"),
    gas("Host: other"),
    gas("host: g", host="HOST: g"),
    gas(host="Host: a b"),
    gas(host="Host: a/b"),
    gas(host="Host: user@g"),
    gas(host="Host: g:80:80"),
    gas(host="Host: g:http"),
    gas(host="Host: [::1"),
    gas(host="Host: ["),
    gas(host="Host: b\xfccher.example"),
    gas(host="Host: 100%"),
    gas(host="Host: " + "a" * 400),
    gas("Host: g", version="1.0"),
]


async def test_white_space_around_a_value_is_stripped(port: int) -> None:
    answers = await asyncio.gather(*(said(port, asked, within_s=0.5) for asked in SPACED))
    assert [statuses(answer) for answer, _ in answers] == [[200]] * len(SPACED)


async def test_a_request_must_have_one_valid_host(port: int) -> None:
    answers = await asyncio.gather(*(said(port, asked) for asked in UNSOUND))
    for answer, is_closed in answers:
        assert (statuses(answer), is_closed) == ([400], True)
        assert b'"code":"bad_request"' in answer
        assert b"\r\nconnection: close\r\n" in answer
    assert await counted(port, 400, **{"X-API-Key": KEY}) == len(UNSOUND)


async def test_a_host_may_be_a_name_or_an_address(port: int) -> None:
    asked = [gas(host=f"Host: {host}") for host in SOUND]
    answers = await asyncio.gather(*(said(port, one, within_s=0.5) for one in asked))
    assert [statuses(answer) for answer, _ in answers] == [[200]] * len(SOUND)
    assert not any(is_closed for _, is_closed in answers)


async def test_http_1_0_needs_no_host(port: int) -> None:
    answer, is_closed = await said(port, gas(host="", version="1.0"))
    assert (statuses(answer), is_closed) == ([200], True)


async def test_http_1_0_has_no_upgrade(served: Served) -> None:
    """RFC 9110, 7.8: the field is ignored there."""
    answer, is_closed = await said(served.port, HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (statuses(answer), is_closed) == ([426], True)


async def test_a_refused_request_is_the_last_of_its_connection(port: int) -> None:
    """Also for what came in the same packet; what was asked before it is answered."""
    answers, is_closed = await said(port, gas() + gas(host="") + gas() * 3)
    assert (statuses(answers), is_closed) == ([200, 400], True)


async def test_invalid_http_is_counted(served: Served) -> None:
    answer, is_closed = await said(served.port, b"no HTTP at all\r\n\r\n")
    assert (statuses(answer), is_closed) == ([400], True)
    assert await counted(served.port, 400) == 1


HOSTS = {
    b"": True,
    b"example.com": True,
    b"[2001:db8::1]": True,
    b"[v1.fe80:a]:1": True,
    b"a%20b": True,
    b":80": True,
    b"a" * 300: True,
    b"a" * 301: False,
    b"a\n": False,
    b"a,b": True,
    b"a\\b": False,
    b"a?b": False,
    b"a#b": False,
    b"<a>": False,
    b"a%2": False,
    b"[]": False,
    b"[::1]x": False,
    b" ": False,
}


@pytest.mark.parametrize("host", HOSTS)
def test_host_values(host: bytes) -> None:
    assert is_host(host) is HOSTS[host]


class Waits:
    """Answers with what it was asked, by `delay_s` later; /known at once."""

    def __init__(self, delay_s: float = 0.1, head_s: float = 10.0) -> None:
        self.server_hooks = ServerHooks(
            timeouts=ConnectionTimeouts(head_s=head_s),
            cached_responses=StoredBodies({b"/known": b""}),
        )
        self._delay_s = delay_s
        self.headers: list[list[tuple[bytes, bytes]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(self._delay_s)
        self.headers.append(scope["headers"])
        path = scope["path"].encode()
        headers = [(b"content-length", b"%d" % len(path))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": path})


@PROTOCOLS
async def test_trailers_are_not_merged_into_headers(protocol: type[BoundedHttp]) -> None:
    app = Waits()
    trailers = b"0\r\nX-Forwarded-For: 1.1.1.1\r\nHost: other\r\n\r\n"
    asked = get("/body", "Transfer-Encoding: chunked") + trailers + get("/known") + get("/next")
    async with serving_bare(app, http=protocol) as (port, _):
        answers, _ = await said(port, asked, within_s=0.5)
    assert len(statuses(answers)) == 3
    assert app.headers[0] == [(b"host", b"g"), (b"transfer-encoding", b"chunked")]


@PROTOCOLS
async def test_the_body_of_an_ignored_upgrade_is_not_a_request(
    protocol: type[BoundedHttp],
) -> None:
    """The parser does not read it: another client of the connection would get its response."""
    body = get("/smuggled")
    upgrade = (
        "Upgrade: h2c",
        "Connection: Upgrade, HTTP2-Settings",
        f"Content-Length: {len(body)}",
    )
    async with serving_bare(Waits(0), http=protocol) as (port, _):
        answers, is_closed = await said(port, get("/asked", *upgrade), body)
    assert answers.endswith(b"/asked")
    assert (statuses(answers), is_closed) == ([200], True)


@PROTOCOLS
@pytest.mark.parametrize("junk", [b"no HTTP\r\n\r\n", b"\x16\x03\x01", b"GET / HTTP/9.9\r\n\r\n"])
async def test_invalid_bytes_after_a_request_do_not_overtake_its_response(
    protocol: type[BoundedHttp], junk: bytes
) -> None:
    async with serving_bare(Waits(), http=protocol) as (port, _):
        answers, is_closed = await said(port, get("/slow"), junk)
    assert (statuses(answers), is_closed) == ([200], True)
    assert answers.endswith(b"/slow")


@PROTOCOLS
async def test_a_line_break_after_a_request_does_not_end_its_response(
    protocol: type[BoundedHttp],
) -> None:
    """It begins a head that never comes: its time limit starts after the response."""
    async with serving_bare(Waits(0.6, head_s=0.2), http=protocol) as (port, _):
        answers, _ = await said(port, get("/slow"), b"\r\n")
    assert answers.endswith(b"/slow")


async def test_a_handshake_must_have_a_host(served: Served) -> None:
    for unsound in (b"", b"Host: g\r\nHost: g\r\n", b"Host: a b\r\n"):
        answer, is_closed = await said(served.port, HANDSHAKE.replace(b"Host: g\r\n", unsound))
        assert (statuses(answer), is_closed) == ([400], True)
    assert await counted(served.port, 400) == 3


async def test_a_refused_request_counts_for_its_client(serve_stream: ServeStream) -> None:
    refused = [gas(host="Host: a b"), b"no request at all\r\n\r\n", gas("Host: g")]
    async with serve_stream(CLIENT_RATE_LIMIT="4/hour") as served:
        for request in refused:
            answer, _ = await said(served.port, request)
            assert statuses(answer) == [400]
        answer, _ = await said(served.port, gas())
        assert statuses(answer) == [200]
        assert b'"client";r=0;' in answer
        assert statuses((await said(served.port, gas()))[0]) == [429]
