"""A gateway that serves its dashboard, in front of the world, with all that tests turn there."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI

from api import process
from api.ws_data_broadcaster import Broadcaster
from backend.gateway import read_configuration
from tests.dashboard.scenery import Scenery, moving_tickers
from tests.world import data
from tests.world.push import PushWorld, candle_told, now_ms

PATIENCE_S = 10.0


@dataclass
class Stage:
    """The providers, Binance's push, and the gateway, which can stop and come back."""

    world: Scenery
    push: PushWorld
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def app(self) -> FastAPI:
        return self._server.app

    @property
    def readers(self) -> int:
        return self._broadcaster.counters().clients

    @property
    def frames_sent(self) -> int:
        return self._broadcaster.counters().messages_sent

    @property
    def _broadcaster(self) -> Broadcaster:
        broadcaster: Broadcaster = self.app.state.broadcaster
        return broadcaster

    async def start(self) -> None:
        """With the settings that the environment gives now, at the address it had before."""
        self._server = process.server(read_configuration(), host="127.0.0.1", port=self.port)
        self._task = asyncio.create_task(self._server.serve())
        await self.until(lambda: self._server.started)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.should_exit = True
        await self._task

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():
                await asyncio.sleep(0.01)

    async def move(self, factor: float, count: int = 100, only: str | None = None) -> None:
        """Ticks for the first coins, or for one."""
        await self.push.until_asked("!miniTicker@arr")
        await self.push.tell_tickers(moving_tickers(count, factor, only))

    async def move_candle(self, price: float, interval: str = "1h") -> None:
        """Bitcoin's forming candle."""
        await self.push.until_asked(f"btcusdt@kline_{interval}")
        step = data.STEPS[interval]
        told = candle_told("BTCUSDT", interval, now_ms() // step * step, price)
        await self.push.tell_candle(told)


@asynccontextmanager
async def open_stage(folder: Path, **settings: str) -> AsyncIterator[Stage]:
    """With no keys or addresses from outside, and files in `folder`."""
    async with Scenery() as world, PushWorld() as push:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
                patch.delenv(name)
            for name, value in world.environment(BINANCE_STREAM_URL=push.url, **settings).items():
                patch.setenv(name, value)
            stage = Stage(world, push)
            await stage.start()
            try:
                yield stage
            finally:
                await stage.stop()
