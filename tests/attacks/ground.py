"""Where attacks take place: a gateway of its own folder, in front of hostile providers."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.attacks.attack import Tally
from tests.attacks.providers import Hostile
from tests.life.process import Gateway, running
from tests.world.push import PushWorld

#: Answers are asked for anew each time, and who failed is asked again at once.
RESTLESS = {
    **{f"CACHE_TTL_{name}": "0.01" for name in ("MARKET", "OHLC", "NEWS", "SENTIMENT", "GAS")},
    "COOLDOWN": "0.05",
    "COOLDOWN_MAX": "0.1",
    "STATE_PATH": "",
}


@dataclass
class Field:
    """One gateway and its providers."""

    world: Hostile
    gateway: Gateway
    folder: Path
    push: PushWorld | None = None

    @property
    def gateways(self) -> list[Gateway]:
        return [self.gateway]


@dataclass
class Camp:
    """Providers and a folder, for attacks that start gateways themselves."""

    world: Hostile
    folder: Path
    gateways: list[Gateway] = field(default_factory=list)

    def new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder))

    def settings(self, **settings: str) -> dict[str, str]:
        return self.world.environment(**settings)


@asynccontextmanager
async def folder() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="attacks_") as name:
        yield Path(name)


@asynccontextmanager
async def camp() -> AsyncIterator[Camp]:
    async with folder() as path, Hostile() as world:
        yield Camp(world, path)


@asynccontextmanager
async def field_of(
    world: Hostile, settings: dict[str, str], push: PushWorld | None = None
) -> AsyncIterator[Field]:
    """A gateway in front of these providers."""
    stream = {"BINANCE_STREAM_URL": push.url} if push else {}
    async with AsyncExitStack() as stack:
        path = await stack.enter_async_context(folder())
        environment = world.environment(**(stream | settings))
        gateway = await stack.enter_async_context(running(path, **environment))
        yield Field(world, gateway, path, push)


async def until_ranked(gateway: Gateway) -> None:
    """The ranked list is there: what follows is laid over it."""
    async with asyncio.timeout(20):
        while True:
            answer = await gateway.client.get("/api/market?limit=250")
            if answer.status_code == 200 and answer.json()["meta"]["total"] >= 250:
                return
            await asyncio.sleep(0.1)


def look_for_traces(gateway: Gateway, seen_before: int, tally: Tally) -> int:
    """A traceback in the output since then is a loss. How long the output is now."""
    output = gateway.output
    for part in output[seen_before:].split("Traceback")[1:]:
        lines = [line for line in part.splitlines() if line and not line.startswith((" ", "("))]
        tally.losses.append(f"a traceback: {lines[0] if lines else '?'}")
    return len(output)
