"""Readers on loopback: as fast as the server answers, or so many a second; what they waited."""

import asyncio
import re
import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import count
from typing import cast

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
CONNECTIONS = 16
NUMBERS = count()
#: Each connection has an address of its own, and asks no more than a client may in a minute.
FIRST_ADDRESS, CLIENTS, MOST = int(IPv4Address("127.1.0.1")), count(), 600


@dataclass(frozen=True)
class Asked:
    """One question. With `varies` no two of its heads are the same."""

    path: str
    accept: str = "identity"
    condition: str = ""
    varies: bool = False

    def request(self, port: int) -> bytes:
        number = next(NUMBERS) if self.varies else 0
        lines = [
            f"GET {self.path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "User-Agent: benchmark",
            "Accept: */*",
            f"Accept-Encoding: {self.accept}",
            f"X-Number: {number:08}",
            *([f"If-None-Match: {self.condition}"] if self.condition else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode()


class Connection(asyncio.Protocol):
    """One question after the other; `answered` is told when each answer is whole."""

    def __init__(self) -> None:
        self._taken = bytearray()
        self._waiting: asyncio.Future[bytes] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self._taken += data
        head = self._taken.find(b"\r\n\r\n")
        if head < 0:
            return
        length = LENGTH.search(self._taken, 0, head + 2)
        if len(self._taken) >= head + 4 + (int(length[1]) if length else 0):
            answer, self._taken = bytes(self._taken), bytearray()
            assert self._waiting is not None
            self._waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("closed in the middle of an answer"))

    async def ask(self, request: bytes) -> bytes:
        assert self.transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._waiting


async def connected(port: int, count: int = CONNECTIONS) -> list[Connection]:
    loop = asyncio.get_running_loop()
    made = []
    for _ in range(count):
        own = str(IPv4Address(FIRST_ADDRESS + next(CLIENTS) % 2**22)), 0
        made.append(await loop.create_connection(Connection, "127.0.0.1", port, local_addr=own))
    return [protocol for _, protocol in made]


def close(connections: list[Connection]) -> None:
    for one in connections:
        assert one.transport is not None
        one.transport.close()


async def flood(port: int, asked: Asked, questions: int, status: int) -> None:
    """So many questions by all connections together; each answer must have this status."""
    connections = await connected(port)
    expected = f"HTTP/1.1 {status} ".encode()
    each = questions // len(connections)
    assert each <= MOST

    async def one(connection: Connection) -> None:
        for _ in range(each):
            answer = await connection.ask(asked.request(port))
            assert answer.startswith(expected), answer[:200]

    await asyncio.gather(*map(one, connections))
    close(connections)


async def steady(port: int, asked: Asked, per_s: int, seconds: float) -> list[float]:
    """So many a second, whether or not the last ones were answered; what each took, in ms."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    connections = await connected(port, 64)
    for connection in connections:
        free.put_nowait(connection)
    took: list[float] = []

    async def one(request: bytes, due: float) -> None:
        connection = await free.get()
        await connection.ask(request)
        took.append((time.perf_counter() - due) * 1_000)
        free.put_nowait(connection)

    began, tasks = time.perf_counter(), []
    for number in range(int(per_s * seconds)):
        request, due = asked.request(port), began + number / per_s
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(request, time.perf_counter())))
    await asyncio.gather(*tasks)
    close(connections)
    return took
