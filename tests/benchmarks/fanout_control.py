"""How the benchmark's processes are started, pinned, asked and ended: a line of JSON each way."""

import asyncio
import json
import os
import resource
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

import uvicorn

ROOT = Path(__file__).resolve().parent.parent.parent
#: Thousands of receipt times come back in one line.
MOST_LINE = 2**28
PATIENCE_S = 60.0
SERVER, CLIENTS = 0, -1

T = TypeVar("T")
Details = dict[str, Any]
Handler = Callable[[Details], Awaitable[Details]]


def pin(place: int) -> None:
    """To the first or the last core that we may use, so that servers and clients share none."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[place]})


def raise_file_limit() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run(main: Coroutine[Any, Any, T]) -> T:
    """On the event loop that uvicorn would take: the library gets the same one as we."""
    factory = uvicorn.Config("", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


async def answer_commands(handle: Handler) -> None:
    """Until our parent closes our stdin, or dies: then nobody needs us."""
    lines = asyncio.StreamReader(limit=MOST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        say(await handle(json.loads(line)))


def say(answer: Details) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class Child:
    """A process of the benchmark's, which does one command at a time."""

    def __init__(self, name: str, process: Process, folder: str) -> None:
        self._name = name
        self._process = process
        self._folder = folder
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Child {self._name}>"

    @classmethod
    async def start(cls, module: str, *arguments: str, **environment: str) -> Self:
        # In a folder of its own: no .env of the developer's may point the gateway anywhere.
        folder = tempfile.mkdtemp(prefix="stream_fanout_")
        process = await create_subprocess_exec(
            sys.executable,
            *("-m", f"tests.benchmarks.{module}", *arguments),
            stdin=PIPE,
            stdout=PIPE,
            limit=MOST_LINE,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "LOG_DIR": folder, **environment},
        )
        return cls(" ".join((module, *arguments)), process, folder)

    @property
    def rss_kb(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status")
        if not status.exists():  # not Linux
            return float("nan")
        found = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]
        return float(found[0].split()[1])

    async def ask(self, do: str, **details: Any) -> Details:
        async with self._turn:
            assert self._process.stdin is not None
            self._process.stdin.write((json.dumps({"do": do, **details}) + "\n").encode())
            return await self.heard()

    async def heard(self) -> Details:
        """What it says next."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = await self._process.stdout.readline()
        assert line, f"{self._name} ended"
        answer: Details = json.loads(line)
        return answer

    async def end(self) -> None:
        """Without a goodbye to thousands of readers: the figures are taken."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
