"""The way out over loopback sockets: directly or by proxies; whose certificates are believed."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trustme

from backend.environment.network import read_network
from backend.providers.transport import open_transport
from tests.providers.conftest import HOST
from tests.world.proxies import HttpProxy, SocksProxy

#: As `openssl x509 -subject_hash` tells it of the authority: only its name counts.
HASH = "12a21737"
WORDS = ("anna", "p@ss/w%rd é")


class Origin:
    """Answers each request with how it came: its first line, its Host, and its proxy's password."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heads: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head.decode("latin-1"))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                if b"connection: close" in head.lower():
                    break
        except (OSError, EOFError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def origin(tls: ssl.SSLContext | None = None) -> AsyncIterator[Origin]:
    made = Origin(0)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


async def get(environment: Mapping[str, str], *urls: str) -> list[str]:
    """The bodies."""
    transport = open_transport(read_network(environment)[0])
    try:
        return [await _get(transport, url) for url in urls]
    finally:
        await transport.aclose()


async def _get(transport: httpx.AsyncBaseTransport, url: str) -> str:
    async with asyncio.timeout(5):
        response = await transport.handle_async_request(httpx.Request("GET", url))
        body = (await response.aread()).decode()
        await response.aclose()
    return body


async def test_without_proxies_calls_go_directly() -> None:
    async with origin() as one:
        assert await get({}, f"http://127.0.0.1:{one.port}/a?b=c") == ["ok"]
    assert one.heads[0].startswith("GET /a?b=c HTTP/1.1\r\n")


@pytest.mark.parametrize("words", [("", ""), WORDS], ids=["open", "with a password"])
async def test_plain_http_is_requested_from_the_proxy_with_the_absolute_url(
    words: tuple[str, str],
) -> None:
    async with origin() as one, HttpProxy(*words) as proxy:
        url = f"http://{HOST}:{one.port}/a?b=c%20d"
        assert await get({"HTTP_PROXY": of(proxy)}, url, url) == ["ok", "ok"]
    assert proxy.asked == [f"GET {url}"] * 2
    assert one.heads[0].startswith("GET /a?b=c%20d HTTP/1.1\r\n")
    assert f"Host: {HOST}:{one.port}\r\n" in one.heads[0]
    assert "Proxy-" not in one.heads[0]


def of(proxy: HttpProxy | SocksProxy, scheme: str = "http") -> str:
    words = f"{httpx_quoted(proxy.user)}:{httpx_quoted(proxy.password)}@" if proxy.user else ""
    return f"{scheme}://{words}{proxy.address}"


def httpx_quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


@pytest.mark.parametrize("words", [("", ""), WORDS], ids=["open", "with a password"])
async def test_an_https_tunnel_uses_the_certificate_of_the_host(
    words: tuple[str, str], server_tls: ssl.SSLContext, cert_file: str
) -> None:
    async with origin(server_tls) as one, HttpProxy(*words) as proxy:
        environment = {"https_proxy": of(proxy), "SSL_CERT_FILE": cert_file}
        url = f"https://{HOST}:{one.port}/a"
        assert await get(environment, url, url) == ["ok", "ok"]
    assert proxy.asked == [f"{HOST}:{one.port}"] * 2  # and no connection was kept
    assert "Proxy-" not in one.heads[0]


async def test_the_connection_to_the_proxy_may_use_https(
    server_tls: ssl.SSLContext, cert_file: str
) -> None:
    async with (
        origin(server_tls) as secure,
        origin() as plain,
        HttpProxy(*WORDS, server_tls) as proxy,
    ):
        environment = {"ALL_PROXY": of(proxy, "https"), "SSL_CERT_FILE": cert_file}
        urls = f"https://{HOST}:{secure.port}/", f"http://{HOST}:{plain.port}/"
        assert await get(environment, *urls) == ["ok", "ok"]
    assert proxy.asked == [f"{HOST}:{secure.port}", f"GET {urls[1]}"]


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks"])
@pytest.mark.parametrize("words", [("", ""), ("anna", "p@ss")])
async def test_a_socks_proxy_gets_names_and_serves_both_schemes(
    scheme: str, words: tuple[str, str], server_tls: ssl.SSLContext, cert_file: str
) -> None:
    async with origin(server_tls) as secure, origin() as plain, SocksProxy(*words) as proxy:
        environment = {"all_proxy": of(proxy, scheme), "SSL_CERT_FILE": cert_file}
        urls = f"https://{HOST}:{secure.port}/", f"http://{HOST}:{plain.port}/"
        assert await get(environment, *urls) == ["ok", "ok"]
    assert proxy.asked == [f"{HOST}:{secure.port}", f"{HOST}:{plain.port}"]


async def test_an_exempt_host_is_called_directly() -> None:
    async with origin() as one, HttpProxy() as proxy:
        environment = {"HTTP_PROXY": of(proxy), "NO_PROXY": "127.0.0.0/8"}
        urls = f"http://127.0.0.1:{one.port}/", f"http://{HOST}:{one.port}/"
        assert await get(environment, *urls) == ["ok", "ok"]
    assert proxy.asked == [f"GET {urls[1]}"]


async def test_an_internationalised_host_is_exempt_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def unknown(*_arguments: object, **_more: object) -> None:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    async with HttpProxy() as proxy:
        environment = {"HTTP_PROXY": of(proxy), "NO_PROXY": "bücher.invalid"}
        with pytest.raises(httpx.ConnectError):  # called directly
            await get(environment, "http://xn--bcher-kva.invalid/")
    assert proxy.asked == []


async def test_the_proxy_for_https_is_not_used_for_plain_http() -> None:
    async with origin() as one, HttpProxy() as proxy:
        assert await get({"HTTPS_PROXY": of(proxy)}, f"http://127.0.0.1:{one.port}/") == ["ok"]
    assert proxy.asked == []


async def test_only_the_settings_and_not_the_environment_name_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with origin() as one:
        assert await get({}, f"http://127.0.0.1:{one.port}/") == ["ok"]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_refused_proxy_password_is_a_proxy_error(scheme: str) -> None:
    async with HttpProxy("anna", "right") as proxy:
        with pytest.raises(httpx.ProxyError, match="the proxy answered 407") as caught:
            await get({"ALL_PROXY": f"anna:wrong@{proxy.address}"}, f"{scheme}://{HOST}/")
    assert proxy.refused == 1
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(("user", "password"), [("anna", "wrong"), ("", "")])
async def test_a_refusing_socks_proxy_is_a_proxy_error(user: str, password: str) -> None:
    words = f"{user}:{password}@" if user else ""
    async with SocksProxy("anna", "right") as proxy:
        with pytest.raises(httpx.ProxyError):
            await get({"ALL_PROXY": f"socks5://{words}{proxy.address}"}, f"http://{HOST}/")
    assert proxy.refused == 1


async def test_an_unreachable_proxy_is_a_failed_connection() -> None:
    async with HttpProxy() as proxy:
        address = proxy.address
    for scheme in ("http", "socks5"):
        with pytest.raises(httpx.ConnectError):
            await get({"ALL_PROXY": f"{scheme}://{address}"}, f"https://{HOST}/")


ANSWERS = [
    b"",
    b"\x00",
    b"\x05",
    b"\x05\x00\x05\x00\x00\x03\x02\xff\xff\x00\x00",
    b"\x05\x00\x05\x05\x00\x01",
    b"\x05\x00\x05\x63\x00\x01",
    b"HTTP/1.1 200",
    b"junk\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 502 \xff\r\n\r\n",
    b"x" * 40_000,
]


@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_an_invalid_answer_of_the_proxy_is_a_proxy_error(scheme: str, answer: bytes) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        await writer.drain()

    kind: type[HttpProxy | SocksProxy] = SocksProxy if scheme == "socks5" else HttpProxy
    async with kind() as proxy:
        proxy.misbehave = say
        with pytest.raises(httpx.TransportError):
            await get({"ALL_PROXY": f"{scheme}://{proxy.address}"}, f"https://{HOST}/")


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_a_cancelled_call_leaks_no_connection(scheme: str, greeting: bytes) -> None:
    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(greeting)
        while await reader.read(100):
            pass

    kind: type[HttpProxy | SocksProxy] = SocksProxy if scheme == "socks5" else HttpProxy
    async with kind() as proxy:
        proxy.misbehave = keep_silent
        network, _ = read_network({"ALL_PROXY": f"{scheme}://{proxy.address}"})
        transport = open_transport(network)
        for _ in range(3):
            with pytest.raises((TimeoutError, httpx.TransportError)):
                async with asyncio.timeout(0.1):
                    await transport.handle_async_request(httpx.Request("GET", f"https://{HOST}/"))
        async with asyncio.timeout(5):
            while proxy.open:
                await asyncio.sleep(0.01)
        await transport.aclose()


async def test_a_certificate_of_another_authority_is_refused(server_tls: ssl.SSLContext) -> None:
    async with origin(server_tls) as one:
        with pytest.raises(httpx.ConnectError):
            await get({}, f"https://127.0.0.1:{one.port}/")


async def test_a_folder_of_authorities_is_read_by_hash_names(
    authority: trustme.CA, server_tls: ssl.SSLContext, tmp_path: Path
) -> None:
    (tmp_path / f"{HASH}.0").write_bytes(authority.cert_pem.bytes())
    async with origin(server_tls) as one:
        url = f"https://127.0.0.1:{one.port}/"
        assert await get({"SSL_CERT_DIR": f"/nonexistent:{tmp_path}"}, url) == ["ok"]


async def test_both_clients_share_one_context(cert_file: str) -> None:
    one, other = (read_network({"SSL_CERT_FILE": cert_file})[0] for _ in range(2))
    assert one.tls() is other.tls()
