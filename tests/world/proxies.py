"""Proxies on loopback: HTTP (CONNECT and absolute addresses) and SOCKS5, with their bad days."""

import asyncio
import base64
import ipaddress
import re
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

#: What a proxy does in place of its work.
Misbehave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Proxy:
    """Every name that it is asked for is a server on loopback, at the port that was asked for."""

    def __init__(self, user: str = "", password: str = "", tls: ssl.SSLContext | None = None):
        self.user, self.password = user, password
        #: `host:port` of each connection that it made, `METHOD address` of what it forwarded.
        self.asked: list[str] = []
        self.refused = 0
        self.misbehave: Misbehave | None = None
        self.port = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """Connections to it that nobody has closed."""
        return len(self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve_and_close(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_and_close(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            if self.misbehave:
                await self.misbehave(reader, writer)
            else:
                await self._serve(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class HttpProxy(_Proxy):
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.decode("ascii").split("\r\n")[0].split(" ")
            if not self._may(head):
                self.refused += 1
                writer.write(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
                continue
            if method == "CONNECT":
                self.asked.append(target)
                writer.write(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
                await _joined(reader, writer, int(target.rpartition(":")[2]))
                return
            body = await reader.readexactly(_length(head))
            await self._forward(method, target, head, body, writer)

    def _may(self, head: bytes) -> bool:
        if not (self.user or self.password):
            return b"proxy-authorization" not in head.lower()
        words = base64.b64encode(f"{self.user}:{self.password}".encode())
        return b"proxy-authorization: basic " + words.lower() in head.lower() and words in head

    async def _forward(
        self, method: str, target: str, head: bytes, body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        """One plain request, by the absolute address that it names."""
        self.asked.append(f"{method} {target}")
        assert target.startswith("http://"), target
        host, slash, path = target.removeprefix("http://").partition("/")
        lines = [line for line in head.split(b"\r\n")[1:-2] if not line.lower().startswith(b"prox")]
        upstream, onward = await asyncio.open_connection("127.0.0.1", _port(host))
        first = f"{method} {slash}{path} HTTP/1.1".encode()
        try:
            onward.write(b"\r\n".join([first, *lines, b"Connection: close", b"", body]))
            writer.write(await upstream.read())
        finally:
            onward.close()
        writer.close()  # its answer may end with the connection


class SocksProxy(_Proxy):
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        methods = await _counted(reader)
        wanted = 2 if self.user else 0
        if wanted not in methods:
            self.refused += 1
            writer.write(b"\x05\xff")
            return
        writer.write(bytes([5, wanted]))
        if wanted and not await self._is_known(reader, writer):
            self.refused += 1
            return
        host, port = await _asked_of_socks(reader)
        self.asked.append(f"{host}:{port}")
        writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        await _joined(reader, writer, port)

    async def _is_known(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await reader.readexactly(1)
        words = [(await _counted(reader)).decode() for _ in range(2)]
        is_known = words == [self.user, self.password]
        writer.write(b"\x01\x00" if is_known else b"\x01\x01")
        return is_known


async def _asked_of_socks(reader: asyncio.StreamReader) -> tuple[str, int]:
    kind = (await reader.readexactly(4))[3]
    if kind == 3:
        host = (await _counted(reader)).decode()
    else:
        host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
    return host, int.from_bytes(await reader.readexactly(2), "big")


async def _counted(reader: asyncio.StreamReader) -> bytes:
    """What stands behind a byte that tells its length."""
    return await reader.readexactly((await reader.readexactly(1))[0])


async def _joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Both ways until one side ends."""
    upstream, onward = await asyncio.open_connection("127.0.0.1", port)
    try:
        ways = [
            asyncio.create_task(_copied(reader, onward)),
            asyncio.create_task(_copied(upstream, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
    finally:
        onward.close()


async def _copied(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        sink.write(data)
        await sink.drain()


def _length(head: bytes) -> int:
    found = re.search(rb"\r\ncontent-length: (\d+)\r\n", head.lower())
    return int(found[1]) if found else 0


def _port(host: str) -> int:
    _, colon, port = host.rpartition(":")
    return int(port) if colon else 80
