"""Raw connections to the gateway: what is said and heard, byte by byte."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.life.process import Gateway


class Wire:
    """A connection whose bytes are said and heard as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.heard = b""
        #: The other side closed it, as far as was listened.
        self.is_over = False

    async def say(self, text: bytes) -> None:
        with suppress(OSError):
            self.writer.write(text)
            await asyncio.wait_for(self.writer.drain(), 5)

    async def _hear(self) -> bool:
        try:
            got = await self.reader.read(65_536)
        except OSError:
            got = b""
        self.is_over = not got
        self.heard += got
        return bool(got)

    async def some(self, within_s: float) -> bytes:
        """What comes at once, or by then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._hear()
        return self.heard

    async def until(self, text: bytes, within_s: float) -> bytes:
        """All until this text, or what came by then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while text not in self.heard and await self._hear():
                    pass
        return self.heard

    async def everything(self, within_s: float) -> bytes:
        """All until the end, or what came by then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while await self._hear():
                    pass
        return self.heard


@asynccontextmanager
async def wire_to(gateway: Gateway, source: str = "127.0.0.1") -> AsyncIterator[Wire]:
    made = socket.create_connection(("127.0.0.1", gateway.port), 5, (source, 0))
    reader, writer = await asyncio.open_connection(sock=made)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def handshake(path: str, *lines: str) -> bytes:
    """A WebSocket handshake with these header lines besides."""
    told = (
        f"GET {path} HTTP/1.1",
        "Host: gateway.test",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *lines,
        "",
        "",
    )
    return "\r\n".join(told).encode()


async def said(gateway: Gateway, text: bytes, within_s: float = 2.0) -> bytes:
    """The answer to raw bytes."""
    async with wire_to(gateway) as wire:
        await wire.say(text)
        return await answer_on(wire, within_s)


async def answer_on(wire: Wire, within_s: float = 2.0) -> bytes:
    """One whole answer, by its length; or what came by then."""
    head = (await wire.until(b"\r\n\r\n", within_s)).partition(b"\r\n\r\n")[0]
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            wanted = len(head) + 4 + int(line.split(b":")[1])
            async with asyncio.timeout(within_s):
                while len(wire.heard) < wanted and not wire.is_over:
                    await wire.some(within_s)
    return wire.heard


def status(answer: bytes) -> int:
    words = answer[:40].split(b" ")
    return int(words[1]) if answer.startswith(b"HTTP/1.") and words[1].isdigit() else 0


def get(path: str, *lines: str, version: str = "1.1", host: str = "Host: gateway.test") -> bytes:
    head = [f"GET {path} HTTP/{version}", *([host] if host else []), *lines, "", ""]
    return "\r\n".join(head).encode("latin-1")
