"""Opens connections for the pool: directly, by CONNECT, or by SOCKS5.

httpcore's own proxies work above its pool: there a call that is cancelled during the handshake
with a silent proxy leaks its connection.
"""

import re
import ssl
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import anyio.abc
import httpcore
from httpcore._backends.anyio import AnyIOStream  # it has no public constructor

from backend.environment.proxies import Proxy, bracketed

#: Largest head of a proxy's answer to CONNECT, in bytes.
MOST_HEAD_BYTES = 16_384
#: Most bytes read at once, as many as in a TLS record. A read is parsed without a pause, and could
#: contain thousands of informational answers.
MOST_READ_BYTES = 16_384
#: The library's own limit; the caller's timeout is shorter.
SOCKS_TIMEOUT_S = 60.0
SOCKS_MODULES = ("python_socks", "python_socks.async_.asyncio")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})\b")


class ProxyUnreachable(httpcore.ConnectError):
    """The connection to the proxy itself failed."""


class Direct(httpcore.AnyIOBackend):
    """Opens connections to the host."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return ClosingStream(await super().connect_tcp(host, port, timeout))


class ToProxy(Direct):
    """Opens connections to a proxy, whose address is that of each request."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await super().connect_tcp(host, port, timeout)
        except httpcore.ConnectError as error:
            raise ProxyUnreachable from error


class Tunnel(ToProxy):
    """Opens connections to a host through a proxy, which resolves the host's name."""

    def __init__(self, proxy: Proxy, tls: ssl.SSLContext) -> None:
        self._proxy = proxy
        self._tls = tls
        if proxy.scheme == "socks5":
            # Few need it, and its import takes 10 ms. Later there may be no file descriptor for it.
            self._socks, self._socks_client = map(import_module, SOCKS_MODULES)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises httpcore.ProxyError if the proxy refuses, else as a direct connection."""
        if self._proxy.scheme == "socks5":
            return ClosingStream(await self._connect_socks(host, port))
        stream = await super().connect_tcp(self._proxy.host, self._proxy.port, timeout)
        try:
            if self._proxy.scheme == "https":
                stream = await self._start_tls(stream, timeout)
            await self._request_tunnel(stream, f"{bracketed(host)}:{port}")
        except BaseException:
            await stream.aclose()
            raise
        return ClosingStream(stream)

    async def _start_tls(
        self,
        stream: httpcore.AsyncNetworkStream,
        timeout: float | None,  # noqa: ASYNC109 - httpcore's signature
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await stream.start_tls(self._tls, self._proxy.host, timeout)
        except httpcore.ConnectError as error:
            raise ProxyUnreachable from error

    async def _request_tunnel(self, stream: httpcore.AsyncNetworkStream, target: str) -> None:
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self._proxy.authorization:
            lines.append(f"Proxy-Authorization: {self._proxy.authorization}")
        await stream.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii"))
        head = await _read_head(stream)
        answer = _STATUS_LINE.match(head)
        if answer is None:
            raise httpcore.ProxyError("the proxy's answer is not HTTP")
        if not answer[1].startswith(b"2"):
            raise httpcore.ProxyError(f"the proxy answered {int(answer[1])}")

    async def _connect_socks(self, host: str, port: int) -> httpcore.AsyncNetworkStream:
        proxy = self._proxy
        socks5 = self._socks.ProxyType.SOCKS5
        client = self._socks_client.Proxy(
            socks5, proxy.host, proxy.port, proxy.user, proxy.password, rdns=True
        )
        try:
            sock = await client.connect(host, port, timeout=SOCKS_TIMEOUT_S)
        except OSError as error:
            raise ProxyUnreachable from error
        except (
            self._socks.ProxyError,
            ValueError,
        ) as error:  # also for invalid addresses in its answer
            raise httpcore.ProxyError("the proxy refused, or does not speak SOCKS5") from error
        try:
            return AnyIOStream(await anyio.abc.SocketStream.from_socket(sock))
        except BaseException:
            sock.close()
            raise


class ClosingStream(httpcore.AsyncNetworkStream):
    """A stream that is closed if its TLS handshake is cancelled; httpcore leaves it open."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            await self._stream.aclose()
            raise

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._stream.read(min(max_bytes, MOST_READ_BYTES), timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


async def _read_head(stream: httpcore.AsyncNetworkStream) -> bytes:
    """The answer up to the empty line; a host sends nothing after it before it is asked."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = await stream.read(MOST_HEAD_BYTES)
        head += data
        if not data or len(head) > MOST_HEAD_BYTES:
            raise httpcore.ProxyError("the proxy's answer is incomplete or too long")
    if not head.endswith(b"\r\n\r\n"):
        raise httpcore.ProxyError("the proxy sent bytes after its answer")
    return head
