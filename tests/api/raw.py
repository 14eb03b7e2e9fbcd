"""Clients that speak HTTP by the byte, to a server that really listens."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from api.cache.response_cache import RawHeaders
from api.server.hooks import Peer
from tests.scrape import samples

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: g\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class StoredBodies:
    """Cached responses of an application under test: bodies by target, for GET only."""

    def __init__(self, bodies: dict[bytes, bytes]) -> None:
        self._bodies = bodies

    def read(self, method: str, target: bytes, _headers: RawHeaders) -> bytes | None:
        return target if method == "GET" and target in self._bodies else None

    def respond(self, request: bytes, _peer: Peer) -> tuple[int, bytes, bytes]:
        body = self._bodies[request]
        return 200, b"content-length: %d\r\n" % len(body), body


def get(path: str, *lines: str, host: str = "Host: g", version: str = "1.1") -> bytes:
    head = [f"GET {path} HTTP/{version}", *([host] if host else []), *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1")


async def said(port: int, *pieces: bytes, within_s: float = 1.0) -> tuple[bytes, bool]:
    """All that comes for these bytes, each piece in a packet of its own, and whether the server
    closed the connection in that time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.02)
        async with asyncio.timeout(within_s):
            while piece := await reader.read(65_536):
                got += piece
    except TimeoutError:
        return got, False
    except ConnectionError:
        return got, True
    finally:
        writer.close()
    return got, True


def limit_receive_buffer(writer: asyncio.StreamWriter) -> None:
    """The kernel would enlarge it by itself, and so read megabytes in place of the client."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in STATUS.findall(answers)]


async def counted(port: int, status: int, **headers: str) -> float:
    """Requests that were answered so before they reached a route."""
    async with httpx.AsyncClient(headers=headers) as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    series = f"gateway_requests_total{{route=unmatched,status={status}}}"
    return samples(text).get(series, 0.0)


@asynccontextmanager
async def serving_bare(app: ASGIApp, **options: Any) -> AsyncIterator[tuple[int, uvicorn.Server]]:
    """A port where `app` is served by uvicorn with these options of its Config."""
    ours: dict[str, Any] = {"port": 0, "lifespan": "off", "log_config": None, "access_log": False}
    server = uvicorn.Server(uvicorn.Config(app, **(ours | options)))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1], server
    finally:
        server.should_exit = True
        await task
