"""The gateway behind a real uvicorn, and a real WebSocket client that talks to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import httpx
import uvicorn
import uvicorn.server
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect

from api import process
from api.stream.protocol import StreamTimes
from api.ws_data_broadcaster import Broadcaster
from backend.gateway import read_configuration

PATIENCE_S = 10.0


@dataclass
class Served:
    """A gateway that serves on loopback."""

    server: uvicorn.Server
    app: FastAPI
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def broadcaster(self) -> Broadcaster:
        broadcaster: Broadcaster = self.app.state.broadcaster
        return broadcaster

    @property
    def open_connections(self) -> int:
        return len(self.server.server_state.connections)

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url) as client:
            return await client.get(path)

    @asynccontextmanager
    async def reader(self, query: str = "", **options: Any) -> AsyncIterator["Reader"]:
        address = f"ws://127.0.0.1:{self.port}/ws{query}"
        options = {"proxy": None, "compression": None, "max_size": 2**24, **options}
        async with connect(address, **options) as connection:
            yield Reader(connection)


class Reader:
    """One client; `next` skips frames of other kinds, `seen` holds all that came."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.seen: list[dict[str, Any]] = []

    async def say(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def any(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            frame: dict[str, Any] = json.loads(await self.connection.recv())
        self.seen.append(frame)
        return frame

    async def next(self, **wanted: Any) -> dict[str, Any]:
        """The next frame that has these members."""
        while True:
            frame = await self.any()
            if wanted.items() <= frame.items():
                return frame

    async def nothing(self, seconds: float, **unwanted: Any) -> None:
        """Fails if a frame with these members comes in that time."""
        try:
            async with asyncio.timeout(seconds):
                frame = await self.next(**unwanted)
        except TimeoutError:
            return
        raise AssertionError(f"{frame} came")


async def until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


class QuickPolls:
    """asyncio for uvicorn's server, which polls every 0.1 s until it stops."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s / 10)


@asynccontextmanager
async def serving(*, times: StreamTimes | None = None, **options: Any) -> AsyncIterator[Served]:
    """By run_server's own server, with the settings that the environment gives now."""
    server = process.server(read_configuration(), host="127.0.0.1", port=0, **options)
    server.app.state.stream_times = times or StreamTimes()
    with patch.object(uvicorn.server, "asyncio", QuickPolls()):
        async with _running(server) as served:
            yield served


@asynccontextmanager
async def _running(server: process.Server) -> AsyncIterator[Served]:
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started, PATIENCE_S)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Served(server, server.app, port)
    finally:
        server.should_exit = True
        await task
