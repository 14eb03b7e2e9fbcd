"""Gateways under measurement: one process, processes of a cluster, or workers with a supervisor."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from tests.benchmarks.proc import cpu_s
from tests.cluster.servers import Server as Store
from tests.cluster.servers import running as store_running
from tests.life.process import Gateway, running, workers_of
from tests.world.server import World

LEADS = "leads the cluster"
#: For workers to start, and for a process to hear its leader, which speaks each half second.
START_S, HEARD_S = 30.0, 1.5
#: Answers that no refresh disturbs.
LASTING = {"CACHE_TTL_MARKET": "36000", "CACHE_TTL_GAS": "36000", "CACHE_TTL_OHLC": "36000"}


@dataclass
class Subject:
    """A gateway that is compared with others: its name in the tables, and its processes."""

    name: str
    gateway: Gateway
    workers: int = 1
    store: Store | None = None

    @property
    def port(self) -> int:
        return self.gateway.port

    @property
    def pid(self) -> int:
        """Of the only process, or of the supervisor."""
        return self.gateway.process.pid

    @property
    def serving(self) -> list[int]:
        """The processes that answer."""
        return workers_of(self.pid) if self.workers > 1 else [self.pid]

    def cpu_s(self) -> float:
        """Of the processes that answer."""
        return sum(map(cpu_s, self.serving))


class Scene:
    """The stores, providers and gateways of a part; they end with `stack`."""

    def __init__(self, stack: AsyncExitStack, world: World) -> None:
        self._stack = stack
        self.world = world

    def folder(self) -> Path:
        return Path(self._stack.enter_context(TemporaryDirectory(prefix="cluster_benchmark_")))

    def store(self) -> Store:
        """A real Valkey, empty."""
        return self._stack.enter_context(store_running(self.folder()))

    async def gateway(
        self,
        name: str,
        settings: Mapping[str, str],
        *arguments: str,
        store: Store | None = None,
        workers: int = 1,
    ) -> Subject:
        """Serves. With a store it leads, or hears its leader."""
        shared = {"REDIS_URL": store.url, "WORKERS": str(workers)} if store else {}
        environment = self.world.environment(**settings, **shared)
        started = running(self.folder(), *arguments, **environment)
        one = Subject(name, await self._stack.enter_async_context(started), workers, store)
        if workers > 1:
            await one.gateway.until_logged(f"all {workers} workers serve", START_S)
        if store:
            await asyncio.sleep(HEARD_S)
        return one

    async def members(
        self, count: int, settings: Mapping[str, str], *arguments: str
    ) -> list[Subject]:
        """Processes of one cluster, the leader first."""
        store = self.store()
        members = []
        for number in range(count):
            name = "follower" if number else "leader"
            sized = {"CLUSTER_SIZE": str(count), **settings}
            one = await self.gateway(name, sized, *arguments, store=store)
            members.append(one)
            await members[0].gateway.until_logged(LEADS)
        return members


@asynccontextmanager
async def opened(world: World | None = None) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        yield Scene(stack, await stack.enter_async_context(world or World()))


async def read(subject: Subject, path: str) -> bytes:
    """By the gateway's own client. Each answer must be a good one."""
    answer = await subject.gateway.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.content


class Meter:
    """What processes use from its making on."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._before = {name: cpu_s(pid) for name, pid in pids.items()}
        self._began = time.monotonic()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._pids)

    @property
    def took_s(self) -> float:
        return time.monotonic() - self._began

    def shares(self) -> list[float]:
        """CPU in % of a core."""
        took_s = self.took_s
        return [
            100 * (cpu_s(pid) - self._before[name]) / took_s for name, pid in self._pids.items()
        ]


def figure(values: Sequence[float], digits: int = 2) -> str:
    """The median, and the quartiles where there are any."""
    if len(values) < 4:
        return f"{median(values):.{digits}f}"
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def percentile(values: Sequence[float], which: int) -> float:
    return quantiles(values, n=100, method="inclusive")[which - 1]


#: Heads of the columns that `waits` fills.
WAITS = ("p50", "p99", "max")


def waits(values_ms: Sequence[float]) -> list[str]:
    """p50, p99 and the longest, as cells of a table."""
    figures = percentile(values_ms, 50), percentile(values_ms, 99), max(values_ms)
    return [f"{one:.2f}" for one in figures]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
