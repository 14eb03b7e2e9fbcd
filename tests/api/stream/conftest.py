"""A gateway that really serves, in front of the loopback world and its push stream."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from tests.api.stream.client import Served, serving
from tests.world.push import PushWorld
from tests.world.server import World

ServeStream = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
async def push() -> AsyncIterator[PushWorld]:
    async with PushWorld() as made:
        yield made


@pytest.fixture
def serve_stream(world: World, push: PushWorld, surroundings: pytest.MonkeyPatch) -> ServeStream:
    """`async with serve_stream(CACHE_TTL_MARKET="1") as served`."""

    @asynccontextmanager
    async def serve(server: dict[str, Any] | None = None, **settings: str) -> AsyncIterator[Served]:
        for name, value in world.environment(BINANCE_STREAM_URL=push.url, **settings).items():
            surroundings.setenv(name, value)
        async with serving(**(server or {})) as served:
            yield served

    return serve


@pytest.fixture
async def served(serve_stream: ServeStream) -> AsyncIterator[Served]:
    async with serve_stream() as running:
        yield running
