"""One round: all servers side by side, each with its readers, and their turns in each second."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count

from tests.benchmarks.fanout_control import Child
from tests.benchmarks.fanout_figures import Figures, Flood, Stall
from tests.benchmarks.fanout_stations import SETTLE_S, Station, opened_station
from tests.world.push import mini_ticker

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
