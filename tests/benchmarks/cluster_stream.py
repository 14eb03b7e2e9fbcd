"""Readers of the stream: of one process, and of two workers with one leader and one store."""

import asyncio
import time
from bisect import bisect
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import chain
from statistics import median

from tests.benchmarks.cluster_scene import Scene, Subject, figure, table
from tests.benchmarks.fanout_control import Child, Details, raise_file_limit
from tests.life.process import sockets
from tests.world.messages import Reply, Request
from tests.world.push import PushWorld, mini_ticker
from tests.world.server import World

PATH = "/ws?channels=market"
#: Coins that the venue changes in a frame, of those that it quotes.
CHANGED, QUOTED = 5, 60
#: A frame has come to all readers by then, in seconds; the next is sent after it.
SPACING_S = 1.0
#: How often the whole list is refreshed, in seconds: each row of it changes then.
REFRESH_S = 3.0
PATIENCE_S = 60.0


class NotedWorld(World):
    """Notes when it has made each list of the market."""

    def __init__(self) -> None:
        super().__init__()
        self.replied_at: list[float] = []

    def _reply(self, name: str, request: Request, fault: str) -> Reply:
        reply = super()._reply(name, request, fault)
        if request.path.endswith("/coins/markets"):
            self.replied_at.append(time.monotonic())
        return reply


@dataclass
class Audience:
    """A gateway and its readers, in a process of their own."""

    subject: Subject
    clients: Child
    readers: int
    #: Sockets of each of its processes before there were readers.
    idle: list[int]
    #: When each frame's cause came from outside.
    told_at: list[float] = field(default_factory=list)
    used_s: float = 0.0

    async def connect(self) -> None:
        """Until each reader has its snapshot."""
        about = {"name": self.subject.name, "port": self.subject.port, "path": PATH}
        await self.clients.ask("connect", count=self.readers, **about)
        async with asyncio.timeout(PATIENCE_S):
            while (await self._count())["snapshots"] < self.readers:
                await asyncio.sleep(0.05)

    async def begin(self) -> None:
        await self.clients.ask("forget", name=self.subject.name)
        self.told_at.clear()
        self.used_s = -self.subject.cpu_s()

    async def row(self) -> list[str]:
        """A line of the table: what came, when it came last, and to whom."""
        self.used_s += self.subject.cpu_s()
        said = await self.clients.ask("times", name=self.subject.name)
        frames = by_cause(self.told_at, sorted(chain.from_iterable(said["at"].values())))
        assert (await self._count())["lost"] == 0
        delays = [at - told for told, came in zip(self.told_at, frames, strict=True) for at in came]
        came_to_all = sum(min(len(came), self.readers) for came in frames)
        last = [
            1_000 * (max(came) - told)
            for told, came in zip(self.told_at, frames, strict=True)
            if came
        ]
        spread = [
            n - idle for n, idle in zip(map(sockets, self.subject.serving), self.idle, strict=True)
        ]
        return [
            self.subject.name,
            f"{came_to_all:,} of {len(self.told_at) * self.readers:,}",
            f"{1_000 * median(delays):.1f}",
            figure(last, 1),
            f"{1e6 * self.used_s / len(delays):.1f}",
            " + ".join(map(str, spread)),
        ]

    async def _count(self) -> Details:
        return await self.clients.ask("count", name=self.subject.name)


def by_cause(told_at: list[float], came_at: list[float]) -> list[list[float]]:
    """The receipts after each cause, until the next one. Both lists are sorted."""
    starts = [bisect(came_at, told) for told in told_at]
    return [came_at[one:two] for one, two in zip(starts, [*starts[1:], len(came_at)], strict=True)]


async def audience(
    scene: Scene, clients: Child, readers: int, workers: int, settings: dict[str, str]
) -> Audience:
    name = "one process, no store" if workers == 1 else f"WORKERS={workers}"
    for_all = {"WS_MAX_CLIENTS": str(readers + 10), "CLIENT_MAX_SHARE": "1", **settings}
    store = scene.store() if workers > 1 else None
    subject = await scene.gateway(name, for_all, store=store, workers=workers)
    return Audience(subject, clients, readers, [*map(sockets, subject.serving)])


HEADS = (
    "",
    "frames",
    "half of them after ms",
    "last reader after ms",
    "CPU of a frame, µs",
    "readers of each process",
)


async def of_ticks(scene: Scene, readers: int, frames: int) -> str:
    """A venue changes five pairs each second."""
    async with AsyncExitStack() as stack:
        clients = await Child.start("fanout_clients")
        stack.push_async_callback(clients.end)
        audiences: list[tuple[Audience, PushWorld]] = []
        for workers in (1, 2):
            push = await stack.enter_async_context(PushWorld())
            settings = {"BINANCE_STREAM_URL": push.url, "CACHE_TTL_MARKET": "3600"}
            one = await audience(scene, clients, readers, workers, settings)
            await one.connect()
            await push.until_open()
            await push.tell_tickers([mini_ticker("NOCOINUSDT", 1.0)])
            audiences.append((one, push))
        for number in range(frames + 2):
            for one, push in audiences:
                if number == 2:  # the first frames are of rows that no tick had changed yet
                    await one.begin()
                pairs = [(number * CHANGED + place) % QUOTED for place in range(CHANGED)]
                rows = [
                    mini_ticker(f"C{n}USDT", (1 + n) * (1.01 + number % 7 / 1e3)) for n in pairs
                ]
                one.told_at.append(time.monotonic())
                await push.tell_tickers(rows)
                await asyncio.sleep(SPACING_S / 2)
        await asyncio.sleep(SPACING_S)
        return table(HEADS, [await one.row() for one, _ in audiences])


async def of_refreshes(readers: int, seconds: float) -> str:
    """The leader refreshes the list, in which each row has changed."""
    async with AsyncExitStack() as stack:
        clients = await Child.start("fanout_clients")
        stack.push_async_callback(clients.end)
        world = await stack.enter_async_context(NotedWorld())
        world.limits["coingecko_free"] = (10_000, 60.0)
        settings = {
            "CACHE_TTL_MARKET": str(REFRESH_S),
            "COINGECKO_FREE_LIMITS": "3000/minute",
            "BINANCE_ENABLED": "false",
        }
        one = await audience(Scene(stack, world), clients, readers, 2, settings)
        await one.connect()
        await asyncio.sleep(REFRESH_S)
        await one.begin()
        began = time.monotonic()
        await asyncio.sleep(seconds)
        one.told_at = [at for at in world.replied_at if at > began]
        if time.monotonic() - one.told_at[-1] < SPACING_S:
            await asyncio.sleep(SPACING_S)
        return table(HEADS, [await one.row()])


async def readers_of_stream(scene: Scene, readers: int, frames: int, listed_s: float) -> str:
    """Without a `listed_s`, no refreshes of the whole list."""
    raise_file_limit()
    text = "A venue changes five pairs each second:\n\n" + await of_ticks(scene, readers, frames)
    if listed_s:
        text += f"\nThe list is refreshed each {REFRESH_S:g} s, and all of its rows change:\n\n"
        text += await of_refreshes(readers, listed_s)
    return text
