"""Odd bytes on real connections: each is that provider's failure, and is over with its answer."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from backend.errors import ConnectionBroken, MalformedResponse, Moved, ProviderError
from backend.providers.adapter import Adapter, Call, Reply
from backend.providers.client import ProviderClient
from backend.providers.tunnel import Direct
from tests.clocks import ManualClock
from tests.providers.raw_server import RawServer, answer, client_context, raw_server

PLAIN = Adapter("plain", ())
QUESTION = Call("/x")
FEED = Call("/feed", decode="bytes", conditional=True)


@pytest.fixture
async def client(clock: ManualClock) -> AsyncIterator[ProviderClient]:
    async with ProviderClient(clock) as made:
        yield made


async def ask(client: ProviderClient, server: RawServer, call: Call = QUESTION) -> Reply:
    return await client.call(PLAIN, call, server.url, None, 5.0)


async def failure(client: ProviderClient, server: RawServer, call: Call = QUESTION) -> Any:
    with pytest.raises(ProviderError) as caught:
        await ask(client, server, call)
    return caught.value


@pytest.mark.parametrize(
    "cookie",
    [
        b"Set-Cookie: city=Z\xc3\xbcrich; Path=/",
        b"Set-Cookie: a=b; Path=/",
        b"Set-Cookie: a=" + b"x" * 40_000,
        b"Set-Cookie: \xff\xfe=\x80",
        b"Set-Cookie: a=b; expires=Thu, 99 Foo 99999 00:00:00 GMT; max-age=1e999",
    ],
)
async def test_a_cookie_is_neither_kept_nor_sent_back(
    client: ProviderClient, cookie: bytes
) -> None:
    async with raw_server(answer(b"[1]", cookie, cookie), answer(b"[2]")) as server:
        assert (await ask(client, server)).payload == [1]
        assert (await ask(client, server)).payload == [2]
    assert not any(b"cookie" in request.lower() for request in server.requests)


@pytest.mark.parametrize(
    "header",
    [
        b'ETag: "caf\xc3\xa9"',
        b'ETag: "a\x01b"',
        b"ETag: caf\xc3\xa9",
        b'ETag: "' + b"x" * 5_000 + b'"',
        b"Last-Modified: M\xc3\xa4rz",
        b"Last-Modified: " + b"1" * 5_000,
    ],
)
async def test_an_invalid_validator_is_not_sent_back(client: ProviderClient, header: bytes) -> None:
    async with raw_server(answer(b"first", header), answer(b"second")) as server:
        assert (await ask(client, server, FEED)).payload == b"first"
        assert (await ask(client, server, FEED)).payload == b"second"


async def test_an_etag_with_other_characters_is_sent_back_unchanged(
    client: ProviderClient,
) -> None:
    first = answer(b"first", b'ETag: "caf\xc3\xa9"')
    async with raw_server(first, answer(b"", status=b"304 Not Modified")) as server:
        await ask(client, server, FEED)
        assert (await ask(client, server, FEED)).payload == b"first"
    assert b'If-None-Match: "caf\xc3\xa9"\r\n' in server.requests[1]


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"307 Temporary", b"308 Permanent"])
@pytest.mark.parametrize(
    "location",
    [
        b"javascript:x",
        b"data:,x",
        b"mailto:a@b.c",
        b"http://xn--/",
        b"http://[",
        b"http://[::1",
        b"//",
        b"http://127.0.0.1:99999/",
        b"http://\xff\xfe/",
        b"\xff\x80",
        b"http://a b/",
        b"/" + b"%" * 70_000,
        b"http://" + b"a" * 300 + b".example/",
        b"",
    ],
    ids=lambda location: repr(location[:24]),
)
async def test_an_invalid_redirect_is_the_providers_failure(
    client: ProviderClient, location: bytes, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with raw_server(answer(b"", b"Location: " + location, status=status)) as server:
        error = await failure(client, server)
        if isinstance(error, Moved):  # its own host: what is asked there may fail as well
            error = await failure(client, server, Call(moved_to=error.location))
    assert error.reason in ("bad_payload", "connect_error")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def flipped(record: bytes) -> bytes:
    return record[:-1] + bytes([record[-1] ^ 1])


@pytest.mark.parametrize(
    "damage",
    [flipped, lambda _: b"\x17\x03\x03\xff\xff" + bytes(100), lambda _: b"HTTP/1.1 200 OK\r\n\r\n"],
    ids=["a flipped bit", "an oversized record", "no TLS"],
)
async def test_a_damaged_tls_record_is_a_broken_connection(clock: ManualClock, damage: Any) -> None:
    transport = httpx.AsyncHTTPTransport(verify=client_context())
    async with (
        ProviderClient(clock, transport) as client,
        raw_server(answer(b"[1]"), tls=True, damage=damage) as server,
    ):
        assert isinstance(await failure(client, server), ConnectionBroken)
        server.damage = None
        assert (await ask(client, server)).payload == [1]


@pytest.mark.parametrize("pause_s", [0.0, 0.02])
async def test_bytes_behind_an_answer_are_not_the_next_answer(
    client: ProviderClient, pause_s: float
) -> None:
    first = answer(b"[1]") + answer(b'["forged"]')
    async with raw_server(first, answer(b"[2]")) as server:
        assert (await ask(client, server)).payload == [1]
        await asyncio.sleep(pause_s)
        assert (await ask(client, server)).payload == [2]
    assert server.connections == 2


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[1]", ConnectionBroken),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n", ConnectionBroken),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n[1]", ConnectionBroken),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n[1]", ConnectionBroken),
        (b"", ConnectionBroken),
        (b"\x00\x01\x02", ConnectionBroken),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
            + gzip.compress(b"[1]", mtime=0)[:-4],
            MalformedResponse,
        ),
    ],
)
async def test_an_incomplete_answer_is_a_failure(
    client: ProviderClient, raw: bytes, kind: type[ProviderError]
) -> None:
    async with raw_server(raw, closes=True) as server:
        assert isinstance(await failure(client, server), kind)


@pytest.mark.parametrize("name", [b"UTF-8", b"aws-chunked", b"none", b"binary", b"gzip, identity"])
async def test_an_unknown_content_encoding_is_accepted(client: ProviderClient, name: bytes) -> None:
    body = gzip.compress(b"[1]") if name.startswith(b"gzip") else b"[1]"
    async with raw_server(answer(body, b"Content-Encoding: " + name)) as server:
        assert (await ask(client, server)).payload == [1]


async def test_a_flood_of_informational_answers_is_read_in_small_steps() -> None:
    """Informational answers have no bound but the time-out, and h11 takes 25 µs for each."""
    sent, received = b"HTTP/1.1 100 \r\n\r\n" * 8_192, 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(sent)
        writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    async with server:
        stream = await Direct().connect_tcp(*server.sockets[0].getsockname())
        await stream.write(b"?")
        while piece := await stream.read(1024 * 1024):
            assert len(piece) <= 16_384
            received += len(piece)
        await stream.aclose()
    assert received == len(sent)


async def test_an_unexpected_exception_is_a_failure_and_logged_once(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(_request: httpx.Request) -> httpx.Response:
        raise KeyError("odd")

    client = ProviderClient(clock, httpx.MockTransport(stumble))
    for _ in range(3):
        with pytest.raises(MalformedResponse, match="KeyError"):
            await client.call(PLAIN, Call("/x"), "http://a.example", None, 5.0)
    (record,) = caplog.records
    assert record.exc_info
    assert record.getMessage() == "unexpected KeyError in the call to plain"
