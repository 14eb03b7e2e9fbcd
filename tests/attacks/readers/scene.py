"""Where readers misbehave: a gateway that is open, one behind keys, one with few places."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.attacks.attack import Scene
from tests.attacks.ground import Field, field_of, until_ranked
from tests.attacks.measure import metric
from tests.attacks.providers import Hostile
from tests.life.process import Gateway

KEY = "a-key-of-the-gateway"
GOOD_ORIGIN = "https://good.example"
AUTHORISED = f"X-API-Key: {KEY}"
LATE = "another reader who waits over 250 ms, or gets no 200"


@asynccontextmanager
async def opened() -> AsyncIterator[Field]:
    async with Hostile() as world:
        settings = {**world.unlimited(), "STATE_PATH": "", "WS_STUCK_SECONDS": "1"}
        async with field_of(world, settings) as made:
            await until_ranked(made.gateway)
            yield made


@asynccontextmanager
async def locked() -> AsyncIterator[Field]:
    """Keys are asked for, and browsers' pages of one origin are let in."""
    async with Hostile() as world:
        own = {"GATEWAY_API_KEYS": KEY, "CORS_ORIGINS": GOOD_ORIGIN}
        settings = {**world.unlimited(), **own, "STATE_PATH": ""}
        async with field_of(world, settings) as made:
            made.gateway.client.headers["X-API-Key"] = KEY
            await until_ranked(made.gateway)
            yield made


OPEN = Scene("readers", opened, is_measured=True)
LOCKED = Scene("readers behind keys", locked, is_measured=True)


async def is_empty(gateway: Gateway, within_s: float) -> bool:
    """Whether nobody reads the stream, by then."""
    for _ in range(int(within_s / 0.1)):
        if not await metric(gateway, "gateway_stream_clients"):
            return True
        await asyncio.sleep(0.1)
    return False
