"""One process's connection to the store, by a proxy that can be cut, silenced and slowed down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

HOST = "127.0.0.1"
CHUNK_BYTES = 65_536

#: `hole`: nothing arrives, in either direction, until the hole ends: then all that was sent does,
#: as by TCP. `refuse`: connections end, and new ones are refused.
Mode = Literal["pass", "hole", "refuse"]


class Link:
    """Forwards connections to a port of this machine. `delay_s` is added in each direction."""

    def __init__(self, target_port: int) -> None:
        self.delay_s = 0.0
        self.port = 0
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._passes = asyncio.Event()
        self._passes.set()
        self._connections: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Link {self.port} to {self._target_port}>"

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def set_mode(self, mode: Mode) -> None:
        if mode == "hole":
            self._passes.clear()
        else:
            self._passes.set()
        if mode == "refuse":
            await self.stop()
        elif self._server is None:
            await self.start()

    async def stop(self) -> None:
        """Ends all connections, and refuses others."""
        if self._server:
            self._server.close()
            self._server = None
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        writers = [writer]
        try:
            target_reader, target_writer = await asyncio.open_connection(HOST, self._target_port)
            writers.append(target_writer)
            ways = (
                asyncio.ensure_future(self._forward(reader, target_writer)),
                asyncio.ensure_future(self._forward(target_reader, writer)),
            )
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # the store is away, or the connection is cut
        finally:
            self._connections.discard(task)
            for one in writers:
                one.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the sender ends its side: then what it has sent is still delivered."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.ensure_future(self._deliver(under_way, writer))
        now = asyncio.get_running_loop().time
        try:
            with suppress(OSError):
                while chunk := await reader.read(CHUNK_BYTES):
                    under_way.put_nowait((now() + self.delay_s, chunk))
            under_way.put_nowait((now() + self.delay_s, b""))
            await delivering
        finally:
            delivering.cancel()

    async def _deliver(
        self, under_way: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter
    ) -> None:
        now = asyncio.get_running_loop().time
        while True:
            due, chunk = await under_way.get()
            if due > now():
                await asyncio.sleep(due - now())
            await self._passes.wait()
            if not chunk or writer.is_closing():
                return
            with suppress(OSError):
                writer.write(chunk)
                await writer.drain()


@asynccontextmanager
async def linked(target_port: int) -> AsyncIterator[Link]:
    link = Link(target_port)
    await link.start()
    try:
        yield link
    finally:
        await link.stop()
