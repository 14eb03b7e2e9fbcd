"""Clients as they really are: silent ones, slow ones, and ones that never read."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

HOST = "127.0.0.1"


@asynccontextmanager
async def connected(port: int, said: bytes = b"") -> AsyncIterator[socket.socket]:
    """A connection over which `said` was sent, and of which nobody reads anything.

    Its buffer is as small as the kernel allows: what the gateway writes waits at the gateway.
    """
    with closing(socket.socket()) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        made.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(made, (HOST, port))
        await loop.sock_sendall(made, said)
        yield made


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: gateway.test\r\n\r\n".encode()


def held_by_kernel(port: int) -> int:
    """Bytes that it still offers to the peers of this port, of closed connections too."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    local = [row for row in rows if int(row[1].split(":")[1], 16) == port]
    return sum(int(row[4].split(":")[0], 16) for row in local)


async def everything(from_: socket.socket) -> bytes:
    """All that comes until the other side closes, or resets."""
    told, loop = b"", asyncio.get_running_loop()
    try:
        while chunk := await loop.sock_recv(from_, 65_536):
            told += chunk
    except ConnectionError:
        pass
    return told


async def dribble(through: socket.socket, text: bytes) -> None:
    """A byte each 50 ms, until the other side has had enough."""
    loop = asyncio.get_running_loop()
    try:
        for byte in text:
            await loop.sock_sendall(through, bytes([byte]))
            await asyncio.sleep(0.05)
    except ConnectionError:
        pass
