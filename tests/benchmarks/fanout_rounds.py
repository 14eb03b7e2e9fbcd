"""Rounds of the fan-out benchmark: all servers side by side, each with its clients."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count

from tests.benchmarks.fanout_control import Child, Details
from tests.benchmarks.fanout_report import DIRECT, LIBRARY, Figures, Flood, Stall, quantile
from tests.world.push import PushWorld, mini_ticker
from tests.world.server import World

CHANGED_PAIRS, PAIRS = 5, 60
SETTLE_S = 0.3
LOOK_S, WHILE_S = 0.05, 5.0
#: A server sees at once that a reader hung up.
SEEN_S = 1.0
FLOOD_SEQ = 1_000_000
#: More than this waits at the server when a stalled reader has filled its outlet.
STALLED_BYTES = 64 * 1024


@dataclass
class Station:
    """A server under measurement. `push` is the venue in front of ours; the library has none."""

    name: str
    child: Child
    clients: Child
    port: int
    push: PushWorld | None = None
    base_kb: float = 0.0

    @property
    def path(self) -> str:
        return "/ws?channels=market" if self.push else "/"

    async def connect(self, readers: int) -> None:
        """Until there are so many, and nothing is on its way to them: snapshots are large."""
        await self.clients.ask(
            "connect", name=self.name, port=self.port, path=self.path, count=readers
        )
        await self._until(lambda state: not state["waiting"])
        if self.push:  # ours opens it anew a little after the last readers left
            await self.push.until_open()
        await asyncio.sleep(SETTLE_S)

    async def tick(self, number: int) -> None:
        """One market update to all readers: ours makes it of what the venue tells."""
        if self.push is None:
            await self.child.ask("tick", seq=number)
            return
        pairs = [(number * CHANGED_PAIRS + place) % PAIRS for place in range(CHANGED_PAIRS)]
        rows = [mini_ticker(f"C{n}USDT", (1 + n) * (1.01 + number % 7 / 1000)) for n in pairs]
        await self.push.tell_tickers(rows)

    async def begin(self) -> Details:
        """The server's state before a measurement; what the readers saw before is forgotten."""
        await self.clients.ask("forget", name=self.name)
        return await self.child.ask("state")

    async def figures(self, before: Details, readers: int) -> Figures:
        """What the readers saw and the server spent since `before`."""
        after = await self.child.ask("state")
        times = (await self.clients.ask("times", name=self.name))["at"]
        sent = {seq: at for seq, at in after["sent"].items() if seq not in before["sent"]}
        delays = [[1000 * (at - sent[seq]) for at in times.get(seq, ())] for seq in sent]
        flat = [delay for of_frame in delays for delay in of_frame]
        return Figures(
            server=self.name,
            readers=readers,
            expected=len(sent) * readers,
            delivered=len(flat),
            p50_ms=quantile(flat, 0.5),
            p99_ms=quantile(flat, 0.99),
            last_ms=quantile([max(of_frame) for of_frame in delays if of_frame], 0.5),
            memory_kb=(self.child.rss_kb - self.base_kb) / max(1, readers - 1),
            cpu_us=1e6 * (after["cpu"] - before["cpu"]) / max(1, len(flat)),
        )

    async def flooded(self, readers: int, frames: int) -> Flood:
        await self.clients.ask("forget", name=self.name)
        done = await self.child.ask("flood", first=FLOOD_SEQ, frames=frames)
        came = await self.clients.ask("until", name=self.name, updates=readers * frames)
        return Flood(
            server=self.name,
            expected=readers * frames,
            delivered=came["updates"],
            cpu_s=done["cpu"],
            wall_s=max(came["last_at"], done["ended"]) - done["begun"],
        )

    async def stall(self) -> None:
        """One reader more, until it has filled all that takes what it does not read."""
        await self.clients.ask("stall", name=self.name, port=self.port, path=self.path)
        if not await self._until(lambda state: state["waiting"] > STALLED_BYTES):
            sys.stderr.write(f"{self.name}: the stalled reader does not stall\n")

    async def let_go(self) -> None:
        """The stalled reader's end; the server sees it before it is measured again."""
        readers = (await self.child.ask("state"))["readers"]
        await self.clients.ask("let_go", name=self.name)
        if not await self._until(lambda state: state["readers"] < readers, SEEN_S):
            sys.stderr.write(f"{self.name}: the stalled reader hung up, and still counts\n")

    async def _until(self, is_so: Callable[[Details], bool], while_s: float = WHILE_S) -> bool:
        """Whether it comes to be so in a while."""
        deadline = time.monotonic() + while_s
        while not is_so(await self.child.ask("state")):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_S)
        return True


async def opened_station(
    name: str, clients: Child, most_readers: int, stack: AsyncExitStack
) -> Station:
    """Its processes and venues live as long as `stack`."""
    push, environment = None, {}
    if name != LIBRARY:
        world = await stack.enter_async_context(World())
        push = await stack.enter_async_context(PushWorld())
        environment = world.environment(
            BINANCE_STREAM_URL=push.url,
            CACHE_TTL_MARKET="3600",  # only what the venue tells makes updates
            WS_DIRECT=str(name == DIRECT).lower(),
            WS_MAX_CLIENTS=str(most_readers + 10),
            CLIENT_MAX_SHARE="1",  # all readers are of one address
        )
    child = await Child.start("fanout_servers", name, **environment)
    stack.push_async_callback(child.end)
    return Station(name, child, clients, 0, push)


#: A venue that is silent for 10 s counts as fallen, and connecting thousands takes longer.
KEEP_ALIVE_S = 5.0


class Round:
    """The servers live through the whole round, so that one disturbance meets them all."""

    def __init__(self, stations: Sequence[Station], clients: Child, seconds: int) -> None:
        self._stations = stations
        self._ours = [station for station in stations if station.push]
        self._clients = clients
        self._seconds = seconds
        self._numbers = count(1)

    async def warm_up(self) -> int:
        """One reader each; the library learns the frame that ours makes. Returns its bytes."""
        await self._connect(1)
        for station in self._ours:
            await station.tick(next(self._numbers))
        await asyncio.sleep(SETTLE_S)
        sample = (await self._clients.ask("forget", name=self._ours[0].name))["sample"]
        assert sample, "no update came"
        for station in self._stations:
            await station.child.ask("learn", sample=sample)
            await station.tick(next(self._numbers))
        await asyncio.sleep(SETTLE_S)
        for station in self._stations:
            station.base_kb = station.child.rss_kb
        return len(sample.encode())

    async def figures(self, readers: int) -> list[Figures]:
        await self._connect(readers)
        return await self._measured(readers)

    async def stalls(self, readers: int) -> list[Stall]:
        """Each of ours has one reader more, which has stopped to read; the library has none."""
        grown = [-station.child.rss_kb for station in self._ours]
        async with asyncio.TaskGroup() as group:
            for station in self._ours:
                group.create_task(station.stall())
        seen = {figures.server: figures for figures in await self._measured(readers)}
        stalls = []
        for station, less_kb in zip(self._ours, grown, strict=True):
            state = await station.child.ask("state")
            stalls.append(
                Stall(
                    figures=seen[station.name],
                    lagging=state["lagging"],
                    grown_kb=station.child.rss_kb + less_kb,
                    waiting_kb=state["waiting"] / 1024,
                    kernel_kb=(await station.child.ask("kernel"))["bytes"] / 1024,
                )
            )
            await station.let_go()
        return stalls

    async def floods(self, readers: int, frames: int) -> list[Flood]:
        return [await station.flooded(readers, frames) for station in self._stations]

    async def _connect(self, readers: int) -> None:
        async with asyncio.TaskGroup() as group:
            for station in self._stations:
                group.create_task(station.connect(readers))

    async def _measured(self, readers: int) -> list[Figures]:
        before = [await station.begin() for station in self._stations]
        await self._tick_for_seconds()
        return [
            await station.figures(state, readers)
            for station, state in zip(self._stations, before, strict=True)
        ]

    async def _tick_for_seconds(self) -> None:
        """Each second one frame of each server; apart from each other, as they share a core."""
        begun, share = time.monotonic(), 1 / len(self._stations)
        for second in range(self._seconds):
            for place, station in enumerate(self._stations):
                due = begun + second + place * share
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await station.tick(next(self._numbers))
        await asyncio.sleep(max(share, begun + self._seconds - time.monotonic()))


@asynccontextmanager
async def opened(order: Sequence[str], seconds: int, most_readers: int) -> AsyncIterator[Round]:
    """A round's processes, fresh; they end with it."""
    async with AsyncExitStack() as stack:
        clients = await Child.start("fanout_clients")
        stack.push_async_callback(clients.end)
        stations = [await opened_station(name, clients, most_readers, stack) for name in order]
        for station in stations:
            station.port = (await station.child.heard())["port"]
        alive = asyncio.create_task(_keep_venues_alive(stations))
        stack.callback(alive.cancel)
        yield Round(stations, clients, seconds)


async def _keep_venues_alive(stations: Sequence[Station]) -> None:
    """They tell a pair of no coin: it proves that they live, and changes nothing."""
    while True:
        await asyncio.sleep(KEEP_ALIVE_S)
        for station in stations:
            if station.push:
                await station.push.tell_tickers([mini_ticker("NOCOINUSDT", 1.0)])
