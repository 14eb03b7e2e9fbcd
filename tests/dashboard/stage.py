"""A gateway that serves its dashboard, in front of the world, with all that tests turn there."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.api.stream.client import Served, serving
from tests.dashboard.scenery import Scenery, moving_tickers
from tests.world import data
from tests.world.push import PushWorld, candle_told, now_ms


@dataclass
class Stage:
    """The providers, Binance's push, and the gateway."""

    world: Scenery
    push: PushWorld
    served: Served

    @property
    def url(self) -> str:
        return f"{self.served.url}/"

    async def move(self, factor: float, count: int = 100) -> None:
        """Ticks for the first coins."""
        await self.push.until_open()
        await self.push.tell_tickers(moving_tickers(count, factor))

    async def move_candle(self, price: float, interval: str = "1h") -> None:
        """Bitcoin's forming candle."""
        await self.push.until_asked(f"btcusdt@kline_{interval}")
        step = data.STEPS[interval]
        told = candle_told("BTCUSDT", interval, now_ms() // step * step, price)
        await self.push.tell_candle(told)


@asynccontextmanager
async def open_stage(folder: Path, port: int = 0, **settings: str) -> AsyncIterator[Stage]:
    """With no keys or addresses from outside, and files in `folder`."""
    async with Scenery() as world, PushWorld() as push:
        with pytest.MonkeyPatch.context() as patch:
            point(patch, folder, world, push, settings)
            async with serving(log_config=None) as served:
                yield Stage(world, push, served)


def point(
    patch: pytest.MonkeyPatch,
    folder: Path,
    world: Scenery,
    push: PushWorld,
    settings: dict[str, str],
) -> None:
    patch.chdir(folder)
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        patch.delenv(name)
    for name, value in world.environment(BINANCE_STREAM_URL=push.url, **settings).items():
        patch.setenv(name, value)
