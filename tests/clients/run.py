"""Runs the client scripts against one gateway after the other, some of them at once."""

import asyncio
import os
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clients.key_proxy import adding_key
from tests.clients.plan import KEY, Served, vendors
from tests.cluster.servers import running as store_running
from tests.life.process import KEPT, Gateway, running

SCRIPT_S = 90.0
START_S = 60.0
#: Gateways at once, on a machine of two cores.
AT_ONCE = 3
OUTPUT_BYTES = 4_000
#: It cannot send a key: left out where one is needed.
WITHOUT_FASTMCP = """
import runpy, sys
sys.modules["fastmcp"] = None
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one script, or of a gateway itself. `text` is the output of a failure."""

    served: Served
    client: str
    is_good: bool
    took_s: float
    text: str

    def __str__(self) -> str:
        word, last = ("ok", self.text.strip().rpartition("\n")[2]) if self.is_good else ("FAIL", "")
        return f"{word:5}{self.served!s:20}{self.client:20}{self.took_s:6.1f} s  {last}".rstrip()


@dataclass(frozen=True, slots=True)
class Clients:
    """The folder of the scripts, the interpreter of each, and that of the stand-in."""

    scripts: Path
    pythons: Mapping[str, Path]
    stand_in: Path


async def run_all(clients: Clients, gateways: Sequence[Served]) -> list[Outcome]:
    """All outcomes; each is printed as soon as it is known."""
    few = asyncio.Semaphore(AT_ONCE)

    async def limited(served: Served) -> list[Outcome]:
        async with few:
            return await run_one(clients, served)

    found = await asyncio.gather(*map(limited, gateways))
    return [outcome for outcomes in found for outcome in outcomes]


async def run_one(clients: Clients, served: Served) -> list[Outcome]:
    """The outcomes of all scripts, and of the gateway if it failed itself."""
    outcomes: list[Outcome] = []
    began = time.monotonic()
    try:
        async with serving(clients, served) as (gateway, address):
            for client, python in clients.pythons.items():
                script = clients.scripts / f"{client}.py"
                outcomes.append(await _outcome(served, python, script, gateway, address))
                _print(outcomes[-1])
            await _end(gateway)
    except (AssertionError, TimeoutError, OSError) as error:
        took_s = time.monotonic() - began
        outcomes.append(Outcome(served, "the gateway", False, took_s, repr(error)))
        _print(outcomes[-1])
    return outcomes


@asynccontextmanager
async def serving(clients: Clients, served: Served) -> AsyncIterator[tuple[Gateway, str]]:
    """A gateway, and the address that its clients use."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clients_")))
        behind = vendors(served.mode, clients.stand_in, clients.scripts)
        settings = await stack.enter_async_context(behind)
        if served.workers > 1:
            store = stack.enter_context(store_running(folder))
            settings |= {"WORKERS": str(served.workers), "REDIS_URL": store.url}
        gateway = await stack.enter_async_context(running(folder, **settings))
        if served.workers > 1:
            await gateway.until_logged("workers serve", START_S)
        address = f"http://127.0.0.1:{gateway.port}"
        if served.mode.has_keys:
            address = await stack.enter_async_context(adding_key(KEY, gateway.port))
        yield gateway, address


async def _outcome(
    served: Served, python: Path, script: Path, gateway: Gateway, address: str
) -> Outcome:
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    command = (str(script), address, *served.mode.flags)
    if served.mode.has_keys and script.stem == "mcp_client":
        environment |= {"MCP_KEY": KEY, "PYTHONPATH": str(script.parent)}
        command = ("-c", WITHOUT_FASTMCP, str(script), f"http://127.0.0.1:{gateway.port}")
    began = time.monotonic()
    code, text = await _printed(environment, str(python), "-B", *command)
    took_s = time.monotonic() - began
    if code != 0:
        text += f"\nthe gateway:\n{gateway.output[-OUTPUT_BYTES:]}"
    return Outcome(served, script.stem, code == 0, took_s, text)


async def _printed(environment: dict[str, str], *command: str) -> tuple[int | None, str]:
    """Exit code and output; None if it did not end in time."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env=environment
    )
    try:
        async with asyncio.timeout(SCRIPT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        return None, f"it did not end within {SCRIPT_S:.0f} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode(errors="replace")


async def _end(gateway: Gateway) -> None:
    ended = await gateway.stop()
    assert ended.code == 0, f"it ended with {ended.code}: {ended.output[-OUTPUT_BYTES:]}"
    assert "Traceback" not in ended.output, ended.output[-OUTPUT_BYTES:]


def _print(outcome: Outcome) -> None:
    sys.stdout.write(f"{outcome}\n")
    if not outcome.is_good:
        sys.stdout.write(f"{outcome.text}\n")
    sys.stdout.flush()
