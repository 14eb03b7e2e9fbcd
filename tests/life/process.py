"""The real gateway in its own process: started, limited, measured by /proc, and ended."""

import asyncio
import os
import random
import resource
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.life.fork_server import Forked, ForkServer

ROOT = Path(__file__).resolve().parent.parent.parent
#: Variables that a process needs to find Python; the gateway gets no others.
KEPT = ("PATH", "HOME", "VIRTUAL_ENV", "SYSTEMROOT")
OUTPUT = "output.txt"
#: Arguments of a server with shorter waits.
QUICK = ("-m", "tests.life.quick_server")
#: Arguments of the server that users run.
RUN = (str(ROOT / "run_server.py"),)

Process = asyncio.subprocess.Process | Forked


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (None if it did not end), its time, and its output."""

    code: int | None
    took_s: float
    output: str


@dataclass
class Gateway:
    """A gateway that serves on loopback, in its own folder, with its output in a file."""

    process: Process
    client: httpx.AsyncClient
    folder: Path
    port: int

    @property
    def output(self) -> str:
        return (self.folder / OUTPUT).read_text(errors="replace")

    def limit(self, what: int, most: int) -> None:
        """A resource limit of the running process (`resource.RLIMIT_*`), to be lifted again."""
        _, hard = resource.prlimit(self.process.pid, what)
        resource.prlimit(self.process.pid, what, (hard if most < 0 else most, hard))

    async def stop(self, *signals: int) -> Ended:
        """Ends it by these signals (SIGTERM), a tenth of a second apart."""
        began = time.monotonic()
        for number in signals or (signal.SIGTERM,):
            self.process.send_signal(number)
            await asyncio.sleep(0.1)
        try:
            await asyncio.wait_for(self.process.wait(), 15)
        except TimeoutError:
            return Ended(None, time.monotonic() - began, self.output)
        return Ended(self.process.returncode, time.monotonic() - began, self.output)

    async def until_logged(self, text: str, within_s: float = 15.0) -> None:
        """Returns once the output contains `text`."""
        async with asyncio.timeout(within_s):
            while text not in self.output:
                await asyncio.sleep(0.05)


def free_port() -> int:
    """A port below the ephemeral ones: the kernel gives it to no other process."""
    while True:
        port = random.randrange(10_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Forks:
    """Whether processes are forked; else each is a new interpreter that imports all modules."""

    server: ForkServer | None = None


@asynccontextmanager
async def started(
    folder: Path, *arguments: str, before: Sequence[str] = (), stdout: Any = None, **settings: str
) -> AsyncIterator[Process]:
    """Python with `arguments` (or run_server.py), killed at the end if it still runs.

    `before` is a command that starts the one behind it, as `nice` does.
    """
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment = {**kept, "PYTHONPATH": str(ROOT), **settings}
    arguments = arguments or RUN
    process: Process
    with (folder / OUTPUT).open("ab") as output:
        if Forks.server and arguments in (RUN, QUICK) and not before:
            to = (stdout or output.fileno(), output.fileno())
            process = await Forks.server.fork(arguments, folder, environment, *to)
        else:
            process = await asyncio.create_subprocess_exec(
                *(*before, sys.executable, *arguments),
                cwd=folder,
                env=environment,
                stdout=stdout or output,
                stderr=output,
            )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def running(
    folder: Path,
    *arguments: str,
    before: Sequence[str] = (),
    stdout: Any = None,
    **settings: str,
) -> AsyncIterator[Gateway]:
    """A gateway that serves, started by `arguments` (or run_server.py)."""
    port = free_port()
    settings = {"HOST": "127.0.0.1", "PORT": str(port), "CLIENT_RATE_LIMIT": "", **settings}
    address = f"http://127.0.0.1:{port}"
    async with (
        started(folder, *arguments, before=before, stdout=stdout, **settings) as process,
        httpx.AsyncClient(base_url=address, timeout=10) as client,
    ):
        gateway = Gateway(process, client, folder, port)
        await _until_serving(gateway)
        yield gateway


async def _until_serving(gateway: Gateway) -> None:
    for _ in range(400):
        assert gateway.process.returncode is None, gateway.output
        try:
            await gateway.client.get("/healthz")
        except httpx.TransportError:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError(f"the gateway does not serve: {gateway.output}")


def workers_of(supervisor: int) -> list[int]:
    """The process ids of a supervisor's workers that run, by their numbers."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    found: dict[int, int] = {}
    for child in map(int, children):
        try:
            command = Path(f"/proc/{child}/cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "--worker=" in command:  # not the fork before its exec
            found[child] = int(command.partition("--worker=")[2].partition("\0")[0])
    return sorted(found, key=lambda pid: found[pid])


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def memory_mb(pid: int) -> float:
    return _status(pid, "VmRSS") / 1024


def threads(pid: int) -> int:
    return _status(pid, "Threads")


def cpu_s(pid: int) -> float:
    """User's and system's time that it has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid: int) -> list[str]:
    """The target of each open descriptor."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
    return found


def sockets(pid: int) -> int:
    return sum(target.startswith("socket:") for target in descriptors(pid))


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    raise LookupError(field)
