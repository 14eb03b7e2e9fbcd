"""A gateway in front of the world, both at a time that tests move."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest

from api.hf_unified_server import create_app
from backend.gateway import open_gateway, read_configuration
from tests.clocks import EPOCH, ManualClock
from tests.world.server import World

#: Programs of the tests ask more than a keyless plan allows.
ROOMY = 1_000


@dataclass
class Scene:
    """`client` asks the gateway; `calls` are those that CoinGecko had, as path and query."""

    world: World
    clock: ManualClock
    client: httpx.AsyncClient

    async def ask(self, target: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return await self.client.get(f"/coingecko/api/v3/{target}", headers=named)

    async def get(self, target: str) -> Any:
        """The document of an answer with the status 200."""
        answer = await self.ask(target)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def calls(self) -> list[tuple[str, dict[str, str]]]:
        """Without those for the list of all names, which the gateway asks for by itself."""
        return [
            (request.path.removeprefix("/api/v3/"), request.query)
            for name, request in self.world.requests
            if name.startswith("coingecko") and request.path != "/api/v3/coins/list"
        ]

    def fails(self, *names: str) -> None:
        """From now on these providers fail, and no others."""
        self.world.faults = dict.fromkeys(names, "http500")


@asynccontextmanager
async def opened(
    world: World, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, **settings: str
) -> AsyncIterator[Scene]:
    world.limits["coingecko_free"] = (ROOMY, 60.0)
    settings = {"COINGECKO_FREE_LIMITS": f"{ROOMY}/minute", **settings}
    for name, value in world.environment(**settings).items():
        monkeypatch.setenv(name, value)
    app = create_app(read_configuration(), partial(open_gateway, clock=clock, jitter=lambda: 1.0))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            yield Scene(world, clock, client)


@pytest.fixture
async def scene(surroundings: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """Only CoinGecko answers: no venue lays its prices over the list's."""
    clock = ManualClock(EPOCH)
    async with World(clock) as world:
        async with opened(world, clock, surroundings, BINANCE_ENABLED="false") as made:
            yield made
        assert world.overruns == []


@pytest.fixture
async def with_venue(surroundings: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """CoinGecko and Binance answer."""
    clock = ManualClock(EPOCH)
    async with World(clock) as world, opened(world, clock, surroundings) as made:
        yield made


@pytest.fixture
async def scarce(surroundings: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """Only CoinGecko answers, some calls a day: the market is fresh for more than half an hour."""
    clock = ManualClock(EPOCH)
    settings = {"BINANCE_ENABLED": "false", "COINGECKO_FREE_LIMITS": f"{ROOMY}/minute,40/day"}
    async with World(clock) as world, opened(world, clock, surroundings, **settings) as made:
        yield made
