"""A server on loopback that answers each request with given bytes, by TCP or by TLS."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TypeVar

import trustme

#: Changes the TLS records that the server sends.
Damage = Callable[[bytes], bytes]


@dataclass
class RawServer:
    """`answers` are sent one by one, the last one again and again. A connection stays open behind
    an answer unless `closes`. `damage` changes the records of answers, `damage_greeting` those of
    the handshake, behind which it closes, too."""

    answers: deque[bytes]
    closes: bool = False
    damage: Damage | None = None
    damage_greeting: Damage | None = None
    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection for as long as the server lives."""
        self.connections += 1
        serve = self.serve_tls if self.url.startswith("https") else self.serve
        task = asyncio.ensure_future(serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(lambda _task: writer.close())
        task.add_done_callback(self.tasks.discard)

    def next_answer(self) -> bytes:
        return self.answers.popleft() if len(self.answers) > 1 else self.answers[0]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.next_answer())
                await writer.drain()
                if self.closes:
                    break

    async def serve_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """TLS over memory, so that records can be damaged on their way."""
        coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = server_context().wrap_bio(coming, going, server_side=True)
        request = b""
        with suppress(OSError, ssl.SSLError):
            while True:
                try:
                    request += tls.read(65_536)
                except ssl.SSLWantReadError:
                    greeting = going.read()
                    if greeting and self.damage_greeting:
                        writer.write(self.damage_greeting(greeting))
                        break
                    writer.write(greeting)
                    await writer.drain()
                    received = await reader.read(65_536)
                    if not received:
                        break
                    coming.write(received)
                if b"\r\n\r\n" in request:
                    self.requests.append(request)
                    request = b""
                    tls.write(self.next_answer())
                    record = going.read()
                    writer.write(self.damage(record) if self.damage else record)
                    await writer.drain()
                    if self.closes:
                        break


AnyServer = TypeVar("AnyServer", bound=RawServer)


@cache
def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CERTIFICATE.configure_cert(context)
    return context


AUTHORITY = trustme.CA()
CERTIFICATE = AUTHORITY.issue_cert("127.0.0.1")


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


@asynccontextmanager
async def raw_server(
    *answers: bytes, closes: bool = False, tls: bool = False, damage: Damage | None = None
) -> AsyncIterator[RawServer]:
    async with listening(RawServer(deque(answers), closes, damage), tls=tls) as raw:
        yield raw


@asynccontextmanager
async def listening(raw: AnyServer, *, tls: bool) -> AsyncIterator[AnyServer]:
    """`raw` on a port of its own, which its `url` names."""
    server = await asyncio.start_server(raw.accept, "127.0.0.1", 0)
    raw.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield raw
    finally:
        server.close()
        tasks = list(raw.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # for the closing of their connections


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """A complete HTTP answer."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
