"""The words for a connection that fails or breaks, over real sockets; never an address or a key."""

import asyncio
import datetime as dt
import errno
import socket
import ssl
from typing import Any

import httpx
import pytest
import trustme
from pydantic import SecretStr

from backend.environment.network import read_network
from backend.errors import ConnectFailed, ConnectionBroken, ProviderError, ProviderTimeout
from backend.providers.adapter import Adapter, Auth, Call
from backend.providers.client import ProviderClient
from backend.providers.connection_errors import describe
from backend.providers.push_client import PushClient
from backend.providers.transport import open_transport
from tests.clocks import ManualClock
from tests.providers.conftest import HOST
from tests.providers.raw_server import raw_server
from tests.world.proxies import HttpProxy, SocksProxy

VENDOR = Adapter("vendor", ())
KEY = "notarealkey-0123456789"
AUTH = Auth("query", "apikey"), SecretStr(KEY)


async def failure(url: str, timeout_s: float = 5.0, **environment: str) -> ProviderError:
    transport = open_transport(read_network(environment)[0])
    async with ProviderClient(ManualClock(), transport) as client:
        with pytest.raises(ProviderError) as caught:
            await client.call(VENDOR, Call("/things"), url, AUTH, timeout_s)
    assert KEY not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    return caught.value


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


async def test_a_closed_port_is_a_refused_connection() -> None:
    error = await failure(f"http://127.0.0.1:{closed_port()}")
    assert type(error) is ConnectFailed
    assert str(error) == "connection refused"


async def test_several_addresses_of_a_host_are_described_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = closed_port()
    found = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))

    async def both(*_arguments: object, **_more: object) -> list[Any]:
        return [found, (*found[:4], ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    assert str(await failure(f"http://{HOST}:{port}")) == "connection refused"


async def test_an_unknown_host_is_told_from_a_refused_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def unknown(*_arguments: object, **_more: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    error = await failure(f"https://{HOST}")
    assert type(error) is ConnectFailed
    assert str(error) == "the host name cannot be resolved"


async def serve(context: ssl.SSLContext) -> asyncio.Server:
    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    return await asyncio.start_server(close, "127.0.0.1", 0, ssl=context)


@pytest.mark.parametrize(
    ("name", "days", "is_trusted", "words"),
    [
        ("127.0.0.1", 9, False, "unable to get local issuer certificate"),
        ("127.0.0.1", -1, True, "certificate has expired"),
        ("other.example", 9, True, "it is for another host"),
        ("127.0.0.2", 9, True, "it is for another host"),
    ],
)
async def test_a_refused_certificate_says_why(
    authority: trustme.CA, cert_file: str, name: str, days: int, is_trusted: bool, words: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    begin = until - dt.timedelta(days=30)
    authority.issue_cert(name, not_before=begin, not_after=until).configure_cert(context)
    async with await serve(context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        error = await failure(url, SSL_CERT_FILE=cert_file if is_trusted else "")
    assert type(error) is ConnectFailed
    assert str(error) == f"the certificate is not accepted: {words}"


async def test_another_protocol_on_the_port_is_a_failed_handshake() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"220 mail.example ready\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        error = await failure(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert type(error) is ConnectFailed
    assert str(error) == "TLS failed: wrong version number"


@pytest.mark.parametrize(
    ("bytes_sent", "words"),
    [
        (b"", "the connection was closed before the answer was complete"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
            "the connection was closed before the answer was complete",
        ),
        (b"220 mail.example ready\r\n\r\n", "the answer is not valid HTTP"),
    ],
)
async def test_a_broken_answer_is_a_broken_connection(bytes_sent: bytes, words: str) -> None:
    async with raw_server(bytes_sent, closes=True) as raw:
        error = await failure(raw.url)
    assert type(error) is ConnectionBroken
    assert str(error) == words


async def test_a_reset_connection_is_named() -> None:
    def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    async with server:
        error = await failure(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert type(error) is ConnectionBroken
    assert str(error) in (
        "connection reset by peer",
        "the connection was closed before the answer was complete",
    )


async def test_silence_is_a_timeout() -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\n") as raw:
        error = await failure(raw.url, timeout_s=0.2)
    assert type(error) is ProviderTimeout
    assert str(error) == "no answer within 0.2 s"


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("url", ["http://host.example", "https://host.example"])
async def test_a_proxy_that_cannot_be_reached_is_told_from_the_host(scheme: str, url: str) -> None:
    proxy = f"{scheme}://anna:{KEY}@127.0.0.1:{closed_port()}"
    error = await failure(url, ALL_PROXY=proxy)
    assert type(error) is ConnectFailed
    assert str(error) == "the proxy cannot be reached: connection refused"


async def test_the_certificate_of_a_proxy_is_told_from_the_hosts(
    server_tls: ssl.SSLContext,
) -> None:
    async with HttpProxy("", "", server_tls) as proxy:
        error = await failure("https://host.example", ALL_PROXY=f"https://{proxy.address}")
    told = "the proxy cannot be reached: the certificate is not accepted: unable to get"
    assert str(error).startswith(told)


async def test_a_refusal_of_the_proxy_is_passed_on_in_its_own_words() -> None:
    async with HttpProxy("anna", "right") as proxy:
        for url in ("http://host.example", "https://host.example"):
            error = await failure(url, ALL_PROXY=f"http://anna:{KEY}@{proxy.address}")
            assert str(error) == "the proxy answered 407"
    async with SocksProxy("anna", "right") as proxy:
        error = await failure("http://host.example", ALL_PROXY=f"socks5://{proxy.address}")
    assert str(error) == "the proxy refused, or does not speak SOCKS5"


async def test_the_stream_client_uses_the_same_words(server_tls: ssl.SSLContext) -> None:
    async def push_failure(url: str) -> str:
        with pytest.raises(ProviderError) as caught:
            async with PushClient(ManualClock()).open(VENDOR, url):
                pass
        return str(caught.value)

    assert await push_failure(f"ws://127.0.0.1:{closed_port()}/ws") == "connection refused"
    async with await serve(server_tls) as server:
        port = server.sockets[0].getsockname()[1]
        told = await push_failure(f"wss://127.0.0.1:{port}/ws")
    assert told.startswith("the certificate is not accepted: unable to get local issuer")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENETUNREACH, "?"), "network is unreachable"),
        (OSError(errno.EHOSTUNREACH, "?"), "no route to host"),
        (OSError(errno.ETIMEDOUT, "?"), "the connection timed out"),
        (OSError("All connection attempts to 127.0.0.1 failed"), "OSError"),
        (httpx.ProxyError(f"http://anna:{KEY}@127.0.0.1 refused"), "ProxyError"),
        (httpx.ReadTimeout(f"https://127.0.0.1/?apikey={KEY}"), "ReadTimeout"),
    ],
)
def test_the_text_of_a_library_is_never_shown(error: Exception, words: str) -> None:
    assert describe(error) == words


def test_a_circle_of_causes_ends() -> None:
    first, second = OSError("a"), OSError("b")
    first.__cause__, second.__cause__ = second, first
    assert describe(first) == "OSError"


def test_all_attempts_of_a_group_are_read() -> None:
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "?")
    group = ExceptionGroup("several", [OSError("?"), refused])
    error = OSError("All connection attempts failed")
    error.__cause__ = group
    assert describe(error) == "connection refused"
