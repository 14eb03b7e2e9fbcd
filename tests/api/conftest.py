"""A running application in front of the loopback world."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.api.serving import serving, without_foreign_settings
from tests.api.shared import SharedGateways, shared_gateways
from tests.world.server import World

Serve = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as made:
        yield made


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A folder of its own, and no keys or addresses from outside."""
    without_foreign_settings(monkeypatch, tmp_path)
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


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedGateways]:
    """`shared.client(GATEWAY_API_KEYS="one")` gives a client of a gateway that tests share."""
    with shared_gateways(tmp_path_factory.mktemp("shared")) as gateways:
        yield gateways


@pytest.fixture
def reader(shared: SharedGateways) -> httpx.AsyncClient:
    """A client of a gateway that the module's tests share: it only reads, or is refused."""
    return shared.client()
