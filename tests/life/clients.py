"""Difficult clients: silent ones, slow ones, and ones that never read."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

HOST = "127.0.0.1"


@asynccontextmanager
async def connected(port: int, said: bytes = b"") -> AsyncIterator[socket.socket]:
    """A connection that sends `said` and reads nothing.

    Its buffer is as small as the kernel allows: responses wait at the gateway.
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


def kernel_bytes(port: int) -> int:
    """Unacknowledged bytes in the kernel for this local port, of closed connections too."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    local = [row for row in rows if int(row[1].split(":")[1], 16) == port]
    return sum(int(row[4].split(":")[0], 16) for row in local)


async def everything(from_: socket.socket) -> bytes:
    """Everything that is received until the connection is closed or reset."""
    received, loop = b"", asyncio.get_running_loop()
    try:
        while chunk := await loop.sock_recv(from_, 65_536):
            received += chunk
    except ConnectionError:
        pass
    return received


async def dribble(through: socket.socket, text: bytes) -> None:
    """Sends a byte each 50 ms until the connection is closed."""
    loop = asyncio.get_running_loop()
    try:
        for byte in text:
            await loop.sock_sendall(through, bytes([byte]))
            await asyncio.sleep(0.05)
    except ConnectionError:
        pass
