"""What a cached answer costs: ours beside a bare ASGI callable and a plain FastAPI route.

    python -m tests.benchmarks.hot_path [--rounds 6] [--requests 4000] [--quick]

`--quick` takes about 20 s: fewer servers, rows and requests, and no waits.

All servers are real uvicorns on one core, readers are on another; rounds are interleaved. A ratio
is the CPU of the bare callable for a request, divided by that of the server in the line: 1.0 is as
fast, more is faster. The bare callable sends the same bytes and the same headers as ours.
"""

import argparse
import asyncio
import base64
import json
import os
import platform
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles

import httpx

from tests.benchmarks.fanout_control import CLIENTS, ROOT, run
from tests.benchmarks.fanout_control import pin as pin_to
from tests.benchmarks.hot_load import Asked, flood, steady
from tests.benchmarks.hot_nginx import nginx_of
from tests.benchmarks.proc import cpu_s
from tests.benchmarks.ratios import record
from tests.life.process import free_port
from tests.world.server import World

MARKET, GAS = "/api/market", "/api/gas"
BARE = "bare ASGI"
#: Ours without a client limit, with the default limit, and with less of it.
OURS: dict[str, dict[str, str]] = {
    "ours": {},
    "ours, default limit": {"CLIENT_RATE_LIMIT": "600/minute"},
    "ours, HTTP_DIRECT=false": {"HTTP_DIRECT": "false"},
    "ours, PREPARED_ANSWERS=false": {"PREPARED_ANSWERS": "false"},
}
#: Those whose ratios must not get worse.
RECORDED = ("ours", "ours, default limit")
STEADY_PER_S, STEADY_S = 1_000, 4.0
#: What the short form leaves out.
ONLY_LONG = ("ours, HTTP_DIRECT=false", "market, zstd", "market, br", "market, gzip")


@dataclass(frozen=True)
class Row:
    """One question, in words. A conditional one has the tag of what it would get."""

    name: str
    path: str
    accept: str = "identity"
    is_conditional: bool = False
    #: No two requests have the same head.
    varies: bool = False


ROWS = (
    Row("market, 100 rows", MARKET),
    Row("market, zstd", MARKET, "zstd"),
    Row("market, br", MARKET, "br"),
    Row("market, gzip", MARKET, "gzip"),
    Row("market, 304", MARKET, "gzip", is_conditional=True),
    Row("gas", GAS),
    Row("gas, another head each time", GAS, varies=True),
)


@dataclass
class Server:
    """A process of one server and its port."""

    name: str
    process: Process
    port: int

    def cpu_s(self) -> float:
        return cpu_s(self.process.pid)


@dataclass(frozen=True)
class Answer:
    """What ours says to a row's question."""

    asked: Asked
    status: int
    headers: list[tuple[str, str]]
    body: bytes


async def started(stack: AsyncExitStack, name: str, *command: str, **environment: str) -> Server:
    """A server that says its port, or is told one by PORT."""
    folder = tempfile.mkdtemp(prefix="hot_path_")
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    process = await create_subprocess_exec(
        *command,
        stdout=PIPE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LOG_DIR": folder, **environment},
    )
    stack.push_async_callback(_ended, process)
    if "PORT" in environment:
        await serving(int(environment["PORT"]))
        return Server(name, process, int(environment["PORT"]))
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    await serving(port)
    return Server(name, process, port)


async def _ended(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def serving(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return


async def answer_of(port: int, row: Row) -> Answer:
    """Asked until it is a hit; with a condition, if the row has one."""
    url = f"http://127.0.0.1:{port}{row.path}"
    asked = Asked(row.path, row.accept, varies=row.varies)
    async with httpx.AsyncClient() as client:
        for _ in range(3):
            got = await _raw(client, url, asked)
            if row.is_conditional:
                asked = Asked(row.path, row.accept, got.headers.get("etag", asked.condition))
    headers = [(name, text) for name, text in got.headers.multi_items() if name != "date"]
    return Answer(asked, got.status_code, headers, got._content)


async def _raw(client: httpx.AsyncClient, url: str, asked: Asked) -> httpx.Response:
    headers = {"Accept-Encoding": asked.accept}
    headers |= {"If-None-Match": asked.condition} if asked.condition else {}
    async with client.stream("GET", url, headers=headers) as got:
        got._content = b"".join([part async for part in got.aiter_raw()])
    return got


def written(folder: Path, name: str, answers: Sequence[Answer]) -> str:
    rows = [
        {
            "path": one.asked.path,
            "accept": one.asked.accept,
            "condition": one.asked.condition,
            "status": one.status,
            "headers": one.headers,
            "body": base64.b64encode(one.body).decode(),
        }
        for one in answers
    ]
    file = folder / f"{name}.json"
    file.write_text(json.dumps(rows))
    return str(file)


async def ours(stack: AsyncExitStack, world: World, name: str) -> Server:
    environment = world.environment(**{f"CACHE_TTL_{one}": "36000" for one in ("MARKET", "GAS")})
    environment |= OURS[name]
    command = ("-c", PINNED, str(ROOT / "run_server.py"))
    port = str(free_port())
    return await started(stack, name, sys.executable, *command, **environment, PORT=port)


#: On the servers' core before anything of it is imported.
PINNED = (
    "import sys, runpy; from tests.benchmarks.fanout_control import SERVER, pin; pin(SERVER);"
    " sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


@dataclass
class Options:
    """`steady_s` 0: the waits of readers at a steady rate are not measured."""

    rounds: int
    requests: int
    steady_s: float
    is_quick: bool = False

    @property
    def rows(self) -> list[Row]:
        return [row for row in ROWS if not self.is_quick or row.name not in ONLY_LONG]

    @property
    def ours(self) -> list[str]:
        return [name for name in OURS if not self.is_quick or name not in ONLY_LONG]


def read_options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="hot_path")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--requests", type=int, default=4_000)
    parser.add_argument("--quick", action="store_true", help="the main ratios, for CI")
    said = parser.parse_args(arguments)
    if said.quick:
        return Options(3, 640, 0.0, is_quick=True)
    return Options(said.rounds, said.requests, STEADY_S)


async def measured(server: Server, answer: Answer, count: int) -> float:
    """Microseconds of the server's CPU for a request."""
    await flood(server.port, answer.asked, 64, answer.status)
    before = server.cpu_s()
    await flood(server.port, answer.asked, count, answer.status)
    used_s = server.cpu_s() - before
    return max(used_s, 1e-9) / count * 1e6  # by ticks, so few requests may have taken none


async def main(options: Options) -> None:
    pin_to(CLIENTS)
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(World())
        own = {name: await ours(stack, world, name) for name in options.ours}
        #: Each gateway made its own refreshes: its tags are its own.
        questions = {
            name: {row: await answer_of(one.port, row) for row in options.rows}
            for name, one in own.items()
        }
        answers = questions["ours"]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = [*own.values()]
        for kind, name in (("bare", BARE), ("fastapi", "plain FastAPI, Response(bytes)")):
            file = written(folder, kind, list(answers.values()))
            module = ("-m", "tests.benchmarks.hot_servers", kind, file)
            servers.append(await started(stack, name, sys.executable, *module))
        if not options.is_quick:
            servers += await nginx_of(stack, folder, own["ours"].port, started)
        questions |= {one.name: answers for one in servers if one.name not in own}
        costs, waits = await rounds(servers, questions, options)
    for name in RECORDED:
        for row in options.rows:
            record(f"cached, {name}: {row.name}", median(_ratios(costs, name, row, row)))
    sys.stdout.write(report(servers, answers, costs, waits))


Costs = dict[tuple[str, Row], list[float]]


async def rounds(
    servers: list[Server], questions: dict[str, dict[Row, Answer]], options: Options
) -> tuple[Costs, dict[str, list[float]]]:
    costs: Costs = defaultdict(list)
    waits: dict[str, list[float]] = defaultdict(list)
    for number in range(options.rounds):
        sys.stderr.write(f"round {number + 1} of {options.rounds}\n")
        turn = number % len(servers)
        order = [*servers[turn:], *servers[:turn]]  # none is always the first
        for row in options.rows:
            for server in order:
                answer = questions[server.name][row]
                costs[server.name, row].append(await measured(server, answer, options.requests))
        for server in order if options.steady_s else ():
            asked = questions[server.name][ROWS[0]].asked
            took = await steady(server.port, asked, STEADY_PER_S, options.steady_s)
            waits[server.name].append(quantiles(took, n=100)[98])
    return costs, waits


def report(
    servers: list[Server], answers: dict[Row, Answer], costs: Costs, waits: dict[str, list[float]]
) -> str:
    heads = [f"{row.name} ({len(answer.body):,} B)" for row, answer in answers.items()]
    top = [f"| server | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
    same = {row: row for row in answers}
    whole = {row: ROWS[0] if row.path == MARKET else row for row in answers}
    own = median(costs[BARE, ROWS[0]])
    slowest = "; ".join(f"{name} {_figure(found)}" for name, found in waits.items())
    return "\n".join(
        [
            "CPU of a request: the bare ASGI callable's divided by the server's, median (range).",
            "",
            "To the bare callable with the same bytes and headers:",
            "",
            *top,
            *(_line(server, costs, same) for server in servers),
            "",
            "To the bare callable with the whole 100 rows, as the design's table has it:",
            "",
            *top,
            *(_line(server, costs, whole) for server in servers),
            "",
            *([f"p99 (ms) at 1,000 requests a second, 100 rows: {slowest}.", ""] if waits else []),
            f"The bare callable takes {own:.0f} µs for the 100 rows. {machine()}",
            "",
        ]
    )


def _ratios(costs: Costs, name: str, row: Row, base: Row) -> list[float]:
    pairs = zip(costs[BARE, base], costs[name, row], strict=True)
    return [bare / own for bare, own in pairs]


def _line(server: Server, costs: Costs, bases: dict[Row, Row]) -> str:
    cells = [_figure(_ratios(costs, server.name, row, base)) for row, base in bases.items()]
    return f"| {server.name} | {' | '.join(cells)} |"


def _figure(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def machine() -> str:
    names = ("uvicorn", "uvloop", "httptools", "fastapi", "starlette", "orjson")
    libraries = ", ".join(f"{name} {version(name)}" for name in names)
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    python = platform.python_version()
    return f"Machine: {os.cpu_count()} cores, {system}, Python {python}, {libraries}."


if __name__ == "__main__":
    run(main(read_options(sys.argv[1:])))
