"""Invalid handshakes are answered and counted, and their connections end."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from api.server.bounded_http import BoundedHttp
from api.server.bounded_websocket import BoundedWebSocket
from tests.api.raw import HANDSHAKE, counted, said, serving_bare, statuses
from tests.api.stream.client import Served, until
from tests.api.stream.conftest import ServeStream
from tests.scrape import samples
from tests.world.server import World

OPEN = HANDSHAKE.removesuffix(b"\r\n")
TOO_MANY = b"".join(b"X-%d: a\r\n" % number for number in range(130))
#: Handshakes that the library does not answer, and the status of the gateway's answer.
UNANSWERED = {
    OPEN + b"Content-Length: 2\r\n\r\n{}": 400,
    OPEN + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n": 400,
    OPEN + b"X-Long: " + b"a" * 8_300 + b"\r\n\r\n": 431,
    OPEN + TOO_MANY + b"\r\n": 431,
    HANDSHAKE.replace(b"/ws", b"/ws?symbols=" + b"a" * 8_300): 414,
}
REFUSED = UNANSWERED | {
    HANDSHAKE.replace(b"GET", b"POST"): 405,
    HANDSHAKE.replace(b"Version: 13", b"Version: 8"): 426,
    HANDSHAKE.replace(b"Sec-WebSocket-Version: 13\r\n", b""): 426,
    HANDSHAKE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short"): 400,
    HANDSHAKE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ="): 400,
    HANDSHAKE.replace(b"Sec-WebSocket-Key", b"X-Key"): 400,
    OPEN + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n": 400,
    OPEN + b"Origin: http://a\r\nOrigin: http://b\r\n\r\n": 400,
    OPEN + b"Sec-WebSocket-Protocol: a b\r\n\r\n": 400,
}
VALID = [
    HANDSHAKE,
    OPEN + b"Content-Length: 0 \r\n\r\n",
    OPEN + b"X-Long: " + b"a" * 8_100 + b"\r\n\r\n",
    OPEN + TOO_MANY[: TOO_MANY.index(b"X-100")] + b"\r\n",
    HANDSHAKE.replace(b": websocket\r\n", b":\twebsocket \t\r\n"),
    HANDSHAKE.replace(b"==\r\n", b"== \r\n"),
    HANDSHAKE.replace(b"/ws", b"/ws?symbols=" + b"a" * 5_000),
]
WAYS = pytest.mark.parametrize("direct", ["true", "false"])


@WAYS
async def test_an_invalid_handshake_is_refused(serve_stream: ServeStream, direct: str) -> None:
    async with serve_stream(HTTP_DIRECT=direct, WS_DIRECT=direct) as served:
        for asked, status in REFUSED.items():
            before = await counted(served.port, status)
            answer, is_closed = await said(served.port, asked)
            assert (statuses(answer), is_closed) == ([status], True), asked[:300]
            assert await counted(served.port, status) == before + 1
        await until(lambda: not served.open_connections)


async def test_a_handshake_that_the_library_drops_silently_is_answered(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version of the library may refuse more than the known cases."""
    monkeypatch.setattr("api.server.strict_http.handshake_refusal", lambda *_: None)
    for asked, status in UNANSWERED.items():
        before = await counted(served.port, status)
        answer, is_closed = await said(served.port, asked)
        assert (statuses(answer), is_closed) == ([status], True), asked[:300]
        assert await counted(served.port, status) == before + 1


async def test_a_handshake_within_the_limits_succeeds(served: Served) -> None:
    answers = await asyncio.gather(*(said(served.port, asked, within_s=0.5) for asked in VALID))
    assert [statuses(answer) for answer, _ in answers] == [[101]] * len(VALID)


@pytest.mark.parametrize("keys", ["", "a-gateway-key-1"])
@WAYS
async def test_a_client_that_leaves_at_any_moment_causes_no_error_in_the_log(
    serve_stream: ServeStream, caplog: pytest.LogCaptureFixture, direct: str, keys: str
) -> None:
    async with serve_stream(WS_DIRECT=direct, GATEWAY_API_KEYS=keys) as served:
        for pause_s in (None, 0.0, 0.001, 0.01, 0.05) * 4:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(HANDSHAKE)
            if pause_s is not None:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(pause_s)
            writer.transport.abort()
        await until(lambda: not served.server.server_state.tasks)
    assert not [record for record in caplog.records if record.exc_info]


async def test_messages_before_the_accept_are_handled_after_it() -> None:
    """Not before it: a pong before the handshake's response would be invalid."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(0.2)
        await send({"type": "websocket.accept"})
        assert (await receive())["text"] == "hi"
        await send({"type": "websocket.close", "code": 1000})

    frames = b"\x89\x80\0\0\0\0", b"\x81\x82\0\0\0\0hi"
    async with serving_bare(app, http=BoundedHttp, ws=BoundedWebSocket) as (port, _):
        answer, _ = await said(port, HANDSHAKE, *frames, within_s=0.5)
    head, _, received = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert received == b"\x8a\x00\x88\x02\x03\xe8"


async def test_an_upgrade_during_a_response_is_refused(world: World, served: Served) -> None:
    world.delay_s = 0.3
    asked = b"GET /api/gas HTTP/1.1\r\nHost: g\r\n\r\n"
    answer, is_closed = await said(served.port, asked, HANDSHAKE, within_s=2)
    assert (statuses(answer), is_closed) == ([200, 400], True)


async def test_a_key_may_be_followed_by_white_space(serve_stream: ServeStream) -> None:
    asked = OPEN + b"X-API-Key: a-gateway-key-1 \r\n\r\n"
    async with serve_stream(GATEWAY_API_KEYS="a-gateway-key-1") as served:
        answer, _ = await said(served.port, asked, within_s=0.3)
        assert b'{"op":"hello"' in answer


async def test_metrics_do_not_contain_the_path_of_a_refused_handshake(served: Served) -> None:
    await said(served.port, next(iter(UNANSWERED)).replace(b"/ws", b"/anything"))
    text, _ = await said(served.port, b"GET /metrics HTTP/1.0\r\n\r\n")
    read = samples(text.partition(b"\r\n\r\n")[2].decode())
    assert read["gateway_requests_total{route=unmatched,status=400}"] == 1
