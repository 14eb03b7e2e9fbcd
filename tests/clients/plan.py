"""Which client scripts run against which gateways."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from backend.environment.forms import FACADES
from tests.clients.stand_in import standing_in
from tests.world.server import PROVIDERS, World

#: The protocol of a script, as FACADES names it.
FACADE_OF = {
    "pycoingecko_client": "coingecko",
    "ccxt_client": "binance",
    "udf_client": "udf",
    "mcp_client": "mcp",
}
#: A gateway key of the mode `keys`.
KEY = "a-key-of-the-clients-0001"
#: Each script asks the vendor some thirty questions at once; a keyless plan allows five a minute.
COINGECKO_LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class Mode:
    """A kind of gateway. `stand_in` is the stand-in's mode, if it is the vendor behind it."""

    name: str
    flags: tuple[str, ...] = ()
    stand_in: str = ""
    is_down: bool = False
    has_keys: bool = False


WIDE = Mode("wide", ("--wide",), stand_in="ok")
PLAIN = Mode("plain")
DOWN = Mode("down", ("--down",), stand_in="down", is_down=True)
KEYS = Mode("keys", has_keys=True)
MODES = (WIDE, PLAIN, DOWN, KEYS)


@dataclass(frozen=True, slots=True)
class Served:
    """One gateway: its mode, and of how many processes it is."""

    mode: Mode
    workers: int

    def __str__(self) -> str:
        return f"{self.mode.name}, {self.workers} process{'es' * (self.workers > 1)}"


#: Those that take longest first.
GATEWAYS = (
    *(Served(mode, 2) for mode in (WIDE, PLAIN, DOWN)),
    *(Served(mode, 1) for mode in MODES),
)


def clients_of(scripts: Path) -> list[str]:
    """The scripts of this folder, without `.py`, but for protocols that the gateway lacks."""
    found = sorted(path.stem for path in scripts.glob("*_client.py"))
    return [name for name in found if FACADE_OF.get(name) in {None, *FACADES}]


@asynccontextmanager
async def vendors(mode: Mode, python: Path, scripts: Path) -> AsyncIterator[dict[str, str]]:
    """The vendors behind a gateway of this mode, and the variables that point it to them.

    Raises AssertionError at the end if more was asked of a provider than its limit allows.
    """
    async with World() as world:
        world.limits["coingecko_free"] = (COINGECKO_LIMIT, 60.0)
        settings = world.environment(COINGECKO_FREE_LIMITS=f"{COINGECKO_LIMIT}/minute")
        if mode.has_keys:
            settings["GATEWAY_API_KEYS"] = KEY
        if mode.is_down:
            world.faults = dict.fromkeys(PROVIDERS, "http500")
        if mode.stand_in:
            async with standing_in(python, scripts, mode.stand_in) as addresses:
                yield settings | addresses
        else:
            yield settings
        assert not world.overruns, f"calls over a limit: {world.overruns}"
