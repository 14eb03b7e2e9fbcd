"""The servers' processes: our gateway as `run_server.py` serves it, or the websockets library."""

import asyncio
import fcntl
import socket
import sys
import termios
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from fastapi import FastAPI
from websockets.asyncio.server import ServerConnection, broadcast, serve

from api import process
from api.stream.feed import Feed
from api.stream.protocol import MAX_BUFFERED_BYTES, Frame
from api.stream.sinks import QueueSink
from api.stream.topics import Topic
from api.ws_data_broadcaster import MAX_FRAME_BYTES, Broadcaster
from backend.gateway import read_configuration
from tests.benchmarks.fanout_clients import UPDATE
from tests.benchmarks.fanout_control import (
    SERVER,
    Details,
    answer_commands,
    pin,
    raise_file_limit,
    run,
    say,
)

#: Keep-alive is on, but its pings must not fall into figures about frames.
PING_S = 600.0
#: How long a flood waits before it looks again whether the readers have kept up.
LOOK_S = 0.001
MARKET = ("market",)

#: Bytes that one reader has waiting.
Waiting = Callable[[], int]


class Serving(Protocol):
    """A server with its readers."""

    async def send(self, seq: int, text: bytes) -> None:
        """The same frame to all readers, through the server's own way."""

    def waiting(self) -> list[Waiting]:
        """What to ask for each reader's unsent bytes."""

    def state(self) -> Details: ...

    def transports(self) -> list[asyncio.Transport]: ...


class LibraryServer:
    """Row 1: `websockets.broadcast`."""

    def __init__(self) -> None:
        self._connections: dict[ServerConnection, None] = {}

    async def begin(self) -> int:
        server = await serve(
            self._hold,
            "127.0.0.1",
            0,
            compression=None,
            ping_interval=PING_S,
            max_size=MAX_FRAME_BYTES,
        )
        return port_of(next(iter(server.sockets)))

    async def send(self, seq: int, text: bytes) -> None:
        broadcast(self._connections, text, text=True)

    def waiting(self) -> list[Waiting]:
        return [one.get_write_buffer_size for one in self.transports()]

    def transports(self) -> list[asyncio.Transport]:
        return [one.transport for one in self._connections]

    def state(self) -> Details:
        waiting = max((size() for size in self.waiting()), default=0)
        return {"readers": len(self._connections), "waiting": waiting}

    async def _hold(self, connection: ServerConnection) -> None:
        self._connections[connection] = None
        try:
            await connection.wait_closed()
        finally:
            del self._connections[connection]


class GatewayServer:
    """Rows 2 and 3: the real application in a real uvicorn; WS_DIRECT says which."""

    def __init__(self) -> None:
        self._app: FastAPI
        self._server: process.Server
        self._task: asyncio.Task[None]
        #: When the broadcaster began to send each update.
        self.sent: dict[int, float] = {}

    async def begin(self) -> int:
        self._note_publishing()
        # As run_server.py has it, but for the address and the pings.
        self._server = process.server(
            read_configuration(), host="127.0.0.1", port=0, ws_ping_interval=PING_S
        )
        self._app = self._server.app
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            assert not self._task.done()
            await asyncio.sleep(0.005)
        return port_of(self._server.servers[0].sockets[0])

    async def send(self, seq: int, text: bytes) -> None:
        feed = self._broadcaster._feeds[MARKET]
        topic = feed.topic(())
        topic.seq = seq  # readers are shown each state once: the next ones must come behind it
        await feed.publish(topic, [Frame(text, "market", seq)])

    def waiting(self) -> list[Waiting]:
        outlets = [one._sink for one in self._broadcaster._subscribers]
        queued = [(lambda one=one: one._bytes) for one in outlets if isinstance(one, QueueSink)]
        return [*(one.get_write_buffer_size for one in self.transports()), *queued]

    def transports(self) -> list[asyncio.Transport]:
        return [one.transport for one in self._server.server_state.connections]

    def state(self) -> Details:
        readers = self._broadcaster._subscribers
        return {
            "readers": len(readers),
            "lagging": sum(bool(one._missed) for one in readers),
            "waiting": max((size() for size in self.waiting()), default=0),
            "dropped": self._broadcaster.counters().dropped,
        }

    @property
    def _broadcaster(self) -> Broadcaster:
        broadcaster: Broadcaster = self._app.state.broadcaster
        return broadcaster

    def _note_publishing(self) -> None:
        publish = Feed.publish

        async def noted(feed: Feed, topic: Topic, frames: list[Frame]) -> None:
            for told in frames:
                if told.seq is not None:
                    self.sent.setdefault(told.seq, time.monotonic())
            await publish(feed, topic, frames)

        # The benchmark's stopwatch: it costs the same in every round, and the source needs none.
        Feed.publish = noted  # type: ignore[method-assign, assignment]


class Commands:
    """What the parent asks of either server."""

    def __init__(self, server: LibraryServer | GatewayServer) -> None:
        self._server = server
        self._sent = server.sent if isinstance(server, GatewayServer) else {}
        self._template = ""

    async def handle(self, command: Details) -> Details:
        answer: Details = await getattr(self, f"_{command.pop('do')}")(**command)
        return answer

    async def _learn(self, sample: str) -> Details:
        """The frame that all servers send: one of ours, with its number to be filled in."""
        mark = UPDATE.decode()
        head, tail = sample.split(mark, 1)
        number, rest = tail.split(",", 1)
        self._template = f"{head}{mark}%0{len(number)}d,{rest.replace('%', '%%')}"
        return {"bytes": len(sample.encode())}

    async def _tick(self, seq: int) -> Details:
        text = (self._template % seq).encode()
        self._sent[seq] = time.monotonic()
        await self._server.send(seq, text)
        return {}

    async def _state(self) -> Details:
        return {"cpu": time.process_time(), "sent": self._sent, **self._server.state()}

    async def _kernel(self) -> Details:
        """What the kernel holds for the reader that it holds the most for."""
        sockets = [one.get_extra_info("socket") for one in self._server.transports()]
        return {"bytes": max((unsent(one.fileno()) for one in sockets), default=0)}

    async def _flood(self, first: int, frames: int) -> Details:
        """As fast as possible, but for readers that would fall behind: both servers wait alike."""
        texts = [(self._template % seq).encode() for seq in range(first, first + frames)]
        waiting = self._server.waiting()
        cpu, begun = time.process_time(), time.monotonic()
        for seq, text in enumerate(texts, first):
            await self._server.send(seq, text)
            await asyncio.sleep(0)
            await until_at_most(MAX_BUFFERED_BYTES, waiting)
        await until_at_most(0, waiting)
        return {"cpu": time.process_time() - cpu, "begun": begun, "ended": time.monotonic()}


async def until_at_most(size: int, waiting: Sequence[Waiting]) -> None:
    while max(one() for one in waiting) > size:
        await asyncio.sleep(LOOK_S)


def unsent(socket_number: int) -> int:
    """Bytes in the send buffer that the peer has not acknowledged."""
    answer = fcntl.ioctl(socket_number, termios.TIOCOUTQ, b"\0" * 4)
    return int.from_bytes(answer, sys.byteorder)


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


async def main() -> None:
    raise_file_limit()
    server = LibraryServer() if sys.argv[1] == "library" else GatewayServer()
    port = await server.begin()
    pin(SERVER)
    say({"port": port})
    await answer_commands(Commands(server).handle)


if __name__ == "__main__":
    run(main())
