"""Where one reader asks more than a share: true limits, one month's budget, clients' limits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.attacks.attack import Scene
from tests.attacks.ground import Field, field_of, until_ranked
from tests.attacks.providers import Hostile

ATTACKER, READERS = "203.0.113.9", "198.51.100.7"
PROXY = {"TRUST_PROXY": "1", "STATE_PATH": ""}
#: What is dear may take a moment of everybody's time, and no more.
SECOND_MS = 1_000.0
#: Of the scene of limits.
LIMIT, WINDOW_S = 30, 2.0
DEMO = "CG-demo-key-of-the-world-1"


@asynccontextmanager
async def shared() -> AsyncIterator[Field]:
    """The providers' true limits, and the default limit of a client; a proxy is trusted. The stream
    has places for twenty, five of them, and fifty series, for one address."""
    settings = {**PROXY, "CLIENT_RATE_LIMIT": "600/minute", "WS_MAX_CLIENTS": "20"}
    settings["CLIENT_MAX_SHARE"] = "0.25"
    async with Hostile() as world, field_of(world, settings) as made:
        await until_ranked(made.gateway)
        yield made


@asynccontextmanager
async def budgeted() -> AsyncIterator[Field]:
    """CoinGecko's Demo key alone, whose month the market and the candles share."""
    async with Hostile() as world:
        world.good_keys["coingecko_free"] = DEMO
        world.limits["coingecko_free"] = (30, 60.0)
        settings = {"COINGECKO_FREE_API_KEY": DEMO, "BINANCE_ENABLED": "false", "STATE_PATH": ""}
        async with field_of(world, settings) as made:
            await until_ranked(made.gateway)
            yield made


@asynccontextmanager
async def limited() -> AsyncIterator[Field]:
    """A limit of 30 in two seconds for each address that a trusted proxy tells of."""
    async with Hostile() as world:
        settings = {
            **world.unlimited(),
            **PROXY,
            "WS_MAX_CLIENTS": "20",
            "CLIENT_RATE_LIMIT": f"{LIMIT}/{WINDOW_S:g} seconds",
        }
        async with field_of(world, settings) as made:
            await until_ranked(made.gateway)
            yield made


SHARED = Scene("cost", shared, is_measured=True)
BUDGETED = Scene("budgets", budgeted)
LIMITED = Scene("client limits", limited, is_measured=True)


def by(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}
