"""The push client by proxies, over loopback sockets: the settings say how, not the environment."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.server import ServerConnection, serve

from backend.clock import SystemClock
from backend.environment.network import read_network
from backend.errors import ConnectFailed
from backend.providers.push_client import PushClient
from backend.providers.vendors import binance
from tests.providers.conftest import HOST
from tests.world.proxies import HttpProxy, SocksProxy


async def greet(connection: ServerConnection) -> None:
    await connection.send('"hello"')
    await connection.wait_closed()


@pytest.fixture
async def plain() -> AsyncIterator[int]:
    async with serve(greet, "127.0.0.1", 0) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@pytest.fixture
async def secure(server_tls: ssl.SSLContext) -> AsyncIterator[int]:
    async with serve(greet, "127.0.0.1", 0, ssl=server_tls) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def heard(url: str, **environment: str) -> object:
    client = PushClient(SystemClock(), read_network(environment)[0])
    async with client.open(binance.ADAPTER, url) as connection:
        return await connection.receive(5)


async def test_a_tunnel_uses_the_certificate_of_the_host(secure: int, cert_file: str) -> None:
    async with HttpProxy("anna", "p@ss/w%rd") as proxy:
        address = f"http://anna:p%40ss%2Fw%25rd@{proxy.address}"
        url = f"wss://{HOST}:{secure}/stream"
        assert await heard(url, HTTPS_PROXY=address, SSL_CERT_FILE=cert_file) == "hello"
    assert proxy.asked == [f"{HOST}:{secure}"]


async def test_the_connection_to_the_proxy_may_use_https(
    secure: int, cert_file: str, server_tls: ssl.SSLContext
) -> None:
    async with HttpProxy(tls=server_tls) as proxy:
        address, url = f"https://{proxy.address}", f"wss://{HOST}:{secure}/stream"
        assert await heard(url, HTTPS_PROXY=address, SSL_CERT_FILE=cert_file) == "hello"
    assert proxy.asked == [f"{HOST}:{secure}"]


async def test_a_stream_without_tls_uses_the_proxy_for_plain_http(plain: int) -> None:
    async with HttpProxy() as proxy, HttpProxy() as other:
        url = f"ws://{HOST}:{plain}/stream"
        environment = {"HTTP_PROXY": proxy.address, "HTTPS_PROXY": other.address}
        assert await heard(url, **environment) == "hello"
    assert (proxy.asked, other.asked) == ([f"{HOST}:{plain}"], [])


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks"])
async def test_a_socks_proxy_resolves_the_name(secure: int, cert_file: str, scheme: str) -> None:
    async with SocksProxy("anna", "p@ss") as proxy:
        address, url = f"{scheme}://anna:p%40ss@{proxy.address}", f"wss://{HOST}:{secure}/stream"
        assert await heard(url, ALL_PROXY=address, SSL_CERT_FILE=cert_file) == "hello"
    assert proxy.asked == [f"{HOST}:{secure}"]


async def test_an_exempt_host_is_connected_to_directly(secure: int, cert_file: str) -> None:
    async with HttpProxy() as proxy:
        url = f"wss://127.0.0.1:{secure}/stream"
        environment = {"ALL_PROXY": proxy.address, "NO_PROXY": f"127.0.0.1:{secure}"}
        assert await heard(url, **environment, SSL_CERT_FILE=cert_file) == "hello"
    assert proxy.asked == []


async def test_only_the_settings_and_not_the_environment_name_the_proxy(
    plain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY", "SOCKS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert await heard(f"ws://127.0.0.1:{plain}/stream") == "hello"


async def test_a_certificate_of_another_authority_is_refused(secure: int) -> None:
    with pytest.raises(ConnectFailed):
        await heard(f"wss://127.0.0.1:{secure}/stream")


@pytest.mark.parametrize("answer", [b"", b"junk\r\n\r\n", b"HTTP/1.1 407 No\r\n\r\n", b"\x05\xff"])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_refuses_or_answers_wrongly_is_a_failed_connection(
    scheme: str, answer: bytes
) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)
        writer.write(answer)
        await writer.drain()

    async with HttpProxy() as proxy:
        proxy.misbehave = say
        with pytest.raises(ConnectFailed) as caught:
            await heard("ws://venue.example/", ALL_PROXY=f"{scheme}://anna:secret@{proxy.address}")
    assert "secret" not in str(caught.value)


async def test_a_proxy_that_refuses_the_password_is_named_in_the_error(secure: int) -> None:
    async with HttpProxy("anna", "right") as proxy:
        with pytest.raises(ConnectFailed, match="the proxy answered 407"):
            await heard(f"wss://{HOST}:{secure}/", ALL_PROXY=f"anna:wrong@{proxy.address}")
