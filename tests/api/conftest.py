"""A running application in front of the loopback world."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from api.hf_unified_server import create_app
from backend.gateway import read_configuration
from tests.world.server import World

Serve = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as made:
        yield made


@asynccontextmanager
async def serving(
    world: World, monkeypatch: pytest.MonkeyPatch, **settings: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway with these settings, from its start to its end."""
    for name, value in world.environment(**settings).items():
        monkeypatch.setenv(name, value)
    app = create_app(read_configuration())
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            yield client


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A folder of its own, and no keys or addresses from outside."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
async def serve(world: World, surroundings: pytest.MonkeyPatch) -> AsyncIterator[Serve]:
    """`await serve(CACHE_TTL_MARKET="1")` gives a client of a gateway with these settings."""
    async with AsyncExitStack() as stack:

        async def start(**settings: str) -> httpx.AsyncClient:
            return await stack.enter_async_context(serving(world, surroundings, **settings))

        yield start


@pytest.fixture
async def client(serve: Serve) -> httpx.AsyncClient:
    return await serve()
