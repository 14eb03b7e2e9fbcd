"""Start, memory, upstream calls, the way of a cold key, and a cold question.

python -m tests.benchmarks.whole [--quick]
"""

import asyncio
import compileall
import os
import sys
import tempfile
import time
from asyncio.subprocess import Process, create_subprocess_exec
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
import orjson

from api.cache.formats import json_envelope
from backend.models.answer import Answer
from backend.models.market import Market, MarketQuery, Quotes, QuotesQuery
from backend.providers.adapter import Context
from backend.providers.vendors import coingecko_coins
from backend.services.market.service import MarketView
from backend.services.market.symbols import CoinDirectory
from backend.services.market.universe import UniverseSource
from tests.benchmarks import cold_question
from tests.benchmarks.fanout_control import ROOT, run
from tests.benchmarks.proc import cpu_s, rss_mb, waited_s
from tests.benchmarks.ratios import record
from tests.clocks import EPOCH, EPOCH_MS
from tests.services.helpers import market_service
from tests.world import data
from tests.world.server import FURTHER_VENUES, WITH_LISTS, World

CATEGORIES = (
    "/api/gas",
    "/api/market?limit=250",
    "/api/market/ohlc?symbol=BTC&interval=1h&limit=1000",
    "/api/news?limit=200",
    "/api/sentiment?days=365",
)
#: What makes the gateway fetch the names of all coins; CoinGecko has 18,000 in 2026.
NAMES, FURTHER_COINS = "/api/search?q=further", 20_000
READS, AT_ONCE = 10_000, 20
#: All providers of the registry that need no key.
ALL_ON = {f"{name.upper()}_ENABLED": "true" for name in FURTHER_VENUES}
ALL_ON |= dict.fromkeys(WITH_LISTS, "true")


@dataclass
class Gateway:
    process: Process
    client: httpx.AsyncClient
    began: float

    @property
    def rss_mb(self) -> float:
        return rss_mb(self.process.pid)


@asynccontextmanager
async def started(
    world: World, root: Path = ROOT, settings: Mapping[str, str] = {}
) -> AsyncIterator[Gateway]:
    """A gateway as `run_server.py` of `root` starts it, in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        port = 20_000 + os.getpid() % 20_000
        environment = world.environment(
            PORT=str(port), LOG_DIR=folder, STATE_PATH=f"{folder}/state.sqlite", **settings
        )
        began = time.perf_counter()
        process = await create_subprocess_exec(
            sys.executable,
            str(root / "run_server.py"),
            cwd=folder,
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.DEVNULL,
        )
        limits = httpx.Limits(max_connections=AT_ONCE)
        address = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=address, limits=limits, timeout=10) as client:
            try:
                yield Gateway(process, client, began)
            finally:
                process.terminate()
                await process.wait()


async def first_answer_s(gateway: Gateway) -> float:
    while True:
        try:
            answer = await gateway.client.get(CATEGORIES[0])
        except httpx.TransportError:
            await asyncio.sleep(0.005)
            continue
        assert answer.status_code == 200, answer.text
        return time.perf_counter() - gateway.began


async def start_and_memory(rounds: int) -> str:
    for package in ("api", "backend"):  # as pip does; a clone's first start takes 0.2 s more
        compileall.compile_dir(ROOT / package, quiet=1)
    starts, used, waited, memory, with_names = [], [], [], [], []
    for _ in range(rounds):
        async with World() as world, started(world, settings=ALL_ON) as gateway:
            world.further_coins = FURTHER_COINS
            starts.append(await first_answer_s(gateway))
            used.append(cpu_s(gateway.process.pid))
            waited.append(waited_s(gateway.process.pid))
            for path in CATEGORIES * 3:
                assert (await gateway.client.get(path)).status_code == 200
            memory.append(gateway.rss_mb)
            assert (await gateway.client.get(NAMES)).status_code == 200
            with_names.append(gateway.rss_mb)
    return (
        f"The first answer comes {median(starts):.2f} s ({min(starts):.2f}–{max(starts):.2f}) after"
        f" the process starts, of which it waits {median(waited):.2f} s"
        f" ({min(waited):.2f}–{max(waited):.2f}) for a core that others use, and has"
        f" {median(used):.2f} s of CPU ({min(used):.2f}–{max(used):.2f});"
        f" with all categories warm it has {median(memory):.0f} MB"
        f" ({min(memory):.0f}–{max(memory):.0f}) resident, and with the names of all coins"
        f" {median(with_names):.0f} MB ({min(with_names):.0f}–{max(with_names):.0f})."
    )


async def upstream_calls(reads: int) -> str:
    """All categories and many views, as fast as answers come."""
    views = [f"/api/market?limit={1 + n % 250}&offset={n % 40}" for n in range(reads // 2)]
    paths = [*views, *(CATEGORIES[n % 5] for n in range(reads - len(views)))]
    async with World() as world, started(world) as gateway:
        await first_answer_s(gateway)
        began, gate = time.perf_counter(), asyncio.Semaphore(AT_ONCE)

        async def read(path: str) -> None:
            async with gate:
                assert (await gateway.client.get(path)).status_code == 200

        await asyncio.gather(*map(read, paths))
        took_s = time.perf_counter() - began
        calls = {name: count for name, count in world.calls.items() if count}
    told = ", ".join(f"{name} {count}" for name, count in sorted(calls.items()))
    return f"{reads:,} reads in {took_s:.0f} s made {sum(calls.values())} upstream calls: {told}."


class Told:
    """A source that brings one list, parsed anew from its bytes each time."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def fetch(self, _query: QuotesQuery) -> Answer[Quotes]:
        context = Context("coingecko_free", "keyless", EPOCH_MS)
        listed = coingecko_coins.parse_markets(QuotesQuery(), [orjson.loads(self._body)], context)
        return Answer(listed, "coingecko_free", EPOCH, 1.0)


async def cold_key_ms(rounds: int) -> tuple[list[float], float]:
    """From the bytes of 250 coins to the body of the answer, and what orjson alone takes to read
    and write these bytes; CPU of this process."""
    rows = [
        data.coin_row(n, f"coin-{n}", f"c{n}", f"Coin {n}", 1.0 + n, EPOCH) for n in range(1, 251)
    ]
    body = orjson.dumps(rows)
    took, bare = [], []
    for _ in range(rounds):
        began = time.process_time()
        orjson.dumps(orjson.loads(body))
        bare.append((time.process_time() - began) * 1_000)
        universe = UniverseSource(Told(body))
        service = market_service(CoinDirectory(universe))
        began = time.process_time()
        answer: Answer[Market] = await universe.fetch(MarketQuery())
        json_envelope(answer, service.top(answer.data, MarketView(250, 0, (), "market_cap_rank")))
        took.append((time.process_time() - began) * 1_000)
    return took, median(bare)


async def main(quick: bool) -> None:
    sys.stdout.write(await start_and_memory(1 if quick else 5) + "\n\n")
    sys.stdout.write(await upstream_calls(500 if quick else READS) + "\n\n")
    took, bare_ms = await cold_key_ms(20 if quick else 200)
    sys.stdout.write(
        f"A cold key of 250 coins takes {median(took):.2f} ms of CPU"
        f" ({min(took):.2f}–{max(took):.2f}) from the list's bytes to the body of the answer.\n\n"
    )
    record("a cold list of 250 coins: orjson alone to the gateway", bare_ms / median(took))
    found = await cold_question.rounds(2 if quick else 6)
    cold_question.record_ratios(found)
    sys.stdout.write(cold_question.report(found))


if __name__ == "__main__":
    run(main("--quick" in sys.argv[1:]))
