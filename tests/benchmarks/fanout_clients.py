"""The readers' process: thousands of raw sockets that note when each frame came, and no more.

A WebSocket library here would cost more than the server that is measured.
"""

import asyncio
import base64
import json
import socket
import time
from array import array
from collections import defaultdict
from typing import Any, cast

from tests.benchmarks.fanout_control import (
    CLIENTS,
    PATIENCE_S,
    Details,
    answer_commands,
    pin,
    raise_file_limit,
    run,
)

UPDATE = b'"type":"update","seq":'
SNAPSHOT = b'"type":"snapshot"'
#: So many handshakes at a time: more would only wait in the listener's queue.
AT_ONCE = 32
#: First bytes of whole frames: a server ends a connection whose pings are not answered.
TEXT, COMPRESSED, PING, PONG = 0x81, 0xC1, 0x89, 0x8A
#: Where a frame says what it is.
HEAD_BYTES = 100
#: As small as the kernel makes it, so that what is not read waits at the server.
SMALLEST = 1
#: Snapshots that a stalled reader asks for: the server's kernel takes megabytes before it blocks.
SNAPSHOTS_ASKED, ASKED_PER_S = 60, 18


class Receipts:
    """When which update came to all the readers of one server."""

    def __init__(self) -> None:
        self.at: defaultdict[int, array[float]] = defaultdict(lambda: array("d"))
        self.updates = 0
        self.snapshots = 0
        self.bytes = 0
        self.last_at = 0.0
        self.sample = b""

    def take(self, data: bytes, begin: int, end: int, at: float) -> None:
        found = data.find(UPDATE, begin, begin + HEAD_BYTES)
        if found < 0:
            self.snapshots += data.find(SNAPSHOT, begin, begin + HEAD_BYTES) >= 0
            return
        seq = int(data[found + len(UPDATE) : data.index(b",", found + len(UPDATE))])
        self.at[seq].append(at)
        self.updates += 1
        self.last_at = at
        self.sample = data[begin:end] if not self.sample else self.sample


class Reader(asyncio.Protocol):
    """One reader: handshake, then frames by their headers; a server's are not masked."""

    def __init__(self, receipts: Receipts, path: str, extensions: str = "") -> None:
        self._receipts = receipts
        self._path = path
        self._extensions = extensions
        self._rest = b""
        self._is_open = False
        self.transport: asyncio.Transport
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(handshake(self._path, self._extensions))

    def data_received(self, data: bytes) -> None:
        at = time.monotonic()
        if self._rest:
            data = self._rest + data
        offset = self._after_frames(data, 0, at) if self._is_open else self._after_answer(data, at)
        self._rest = data[offset:]

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True

    def _after_answer(self, data: bytes, at: float) -> int:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return 0
        assert data.startswith(b"HTTP/1.1 101"), data[:200]
        self._is_open = True
        self.greeted.set_result(None)
        return self._after_frames(data, end + 4, at)

    def _after_frames(self, data: bytes, offset: int, at: float) -> int:
        """Takes each whole frame; returns where the first unfinished one begins."""
        size = len(data)
        while size - offset >= 10 or (size - offset >= 2 and data[offset + 1] < 126):
            length, begin = data[offset + 1], offset + 2
            if length >= 126:
                begin += 2 if length == 126 else 8
                length = int.from_bytes(data[offset + 2 : begin])
            if begin + length > size:
                break
            first, offset = data[offset], begin + length
            self._receipts.bytes += length
            if first == PING:
                self.transport.write(client_frame(data[begin:offset], PONG))
            elif first == COMPRESSED:  # not unpacked: the updates of a market are
                self._receipts.updates += 1
            else:
                self._receipts.take(data, begin, offset, at)
        return offset


def handshake(path: str, extensions: str = "") -> bytes:
    key = base64.b64encode(b"a benchmark's key").decode()[:22] + "=="
    lines = (
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *([f"Sec-WebSocket-Extensions: {extensions}"] if extensions else ()),
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def client_frame(payload: bytes, first: int = TEXT) -> bytes:
    """Masked with zeros, of at most 125 bytes."""
    assert len(payload) < 126
    return bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload


class Clients:
    """All readers of all servers, by the server's name."""

    def __init__(self) -> None:
        self._readers: defaultdict[str, list[Reader]] = defaultdict(list)
        self._receipts: defaultdict[str, Receipts] = defaultdict(Receipts)
        self._stalled: dict[str, socket.socket] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def handle(self, command: Details) -> Details:
        answer: Details = await getattr(self, f"_{command.pop('do')}")(**command)
        return answer

    async def _connect(
        self,
        name: str,
        port: int,
        path: str,
        count: int,
        addresses: int = 1,
        extensions: str = "",
    ) -> Details:
        """Until there are `count` readers, each with the snapshot that it is owed. They connect
        from so many `addresses` in turn, 250 at most."""
        present = len(self._readers[name])
        async with asyncio.TaskGroup() as group:
            for number in range(present, count):
                source = f"127.0.0.{1 + number % addresses}"
                group.create_task(self._join(name, port, path, source, extensions))
        return {"readers": len(self._readers[name])}

    async def _join(self, name: str, port: int, path: str, source: str, extensions: str) -> None:
        async with self._slots:
            loop = asyncio.get_running_loop()
            _, reader = await loop.create_connection(
                lambda: Reader(self._receipts[name], path, extensions),
                "127.0.0.1",
                port,
                local_addr=(source, 0),
            )
            self._readers[name].append(reader)
            async with asyncio.timeout(PATIENCE_S):
                await reader.greeted

    async def _forget(self, name: str) -> Details:
        """What came so far; the count begins anew."""
        receipts = self._receipts[name]
        sample = receipts.sample.decode()
        receipts.at.clear()
        receipts.updates = receipts.snapshots = receipts.bytes = 0
        return {"sample": sample}

    async def _count(self, name: str) -> Details:
        receipts = self._receipts[name]
        lost = sum(reader.is_lost for reader in self._readers[name])
        counts = {"updates": receipts.updates, "snapshots": receipts.snapshots, "lost": lost}
        return {**counts, "bytes": receipts.bytes}

    async def _until(self, name: str, updates: int) -> Details:
        """Waits for so many updates, and not for ever for those that will not come."""
        receipts, last = self._receipts[name], -1
        while receipts.updates < updates and receipts.updates != last:
            last = receipts.updates
            deadline = time.monotonic() + 2.0
            while receipts.updates < updates and time.monotonic() < deadline:
                await asyncio.sleep(0.005)
        return {"updates": receipts.updates, "last_at": receipts.last_at}

    async def _times(self, name: str) -> Details:
        return {"at": {seq: list(at) for seq, at in self._receipts[name].at.items()}}

    async def _stall(self, name: str, port: int, path: str) -> Details:
        """A reader that asks for snapshots again and again, and never reads."""
        self._asking[name] = asyncio.create_task(self._ask_and_never_read(name, port, path))
        return {}

    async def _ask_and_never_read(self, name: str, port: int, path: str) -> None:
        loop = asyncio.get_running_loop()
        stalled = self._stalled[name] = socket.socket()
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALLEST)
        stalled.setblocking(False)
        await loop.sock_connect(stalled, ("127.0.0.1", port))
        await loop.sock_sendall(stalled, handshake(path))
        await asyncio.sleep(0.2)
        said = client_frame(json.dumps({"op": "subscribe", "channel": "market"}).encode())
        for _ in range(SNAPSHOTS_ASKED):
            await loop.sock_sendall(stalled, said)
            await asyncio.sleep(1 / ASKED_PER_S)

    async def _let_go(self, name: str) -> Details:
        asking = self._asking.pop(name)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        self._stalled.pop(name).close()
        return {}


async def main() -> None:
    raise_file_limit()
    pin(CLIENTS)
    clients: Any = Clients()
    await answer_commands(clients.handle)


if __name__ == "__main__":
    run(main())
