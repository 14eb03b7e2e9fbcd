"""Real gateways of one cluster, each behind a proxy of its own, over a real Valkey."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM
from typing import Any

import httpx
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tests.cluster.chaos.proxy import Link, linked
from tests.cluster.servers import Server
from tests.cluster.servers import running as server_running
from tests.life.process import Process, free_port, started
from tests.world.server import World

#: The period of the limits that the run uses up, in seconds: many of them fit into a minute.
PERIOD_S = 10
FEES = 60
FEE_CHAINS = ("ethereum", "base", "arbitrum")


@dataclass(frozen=True)
class Terms:
    """The true limits of CoinGecko and Binance, in calls a period, which the gateways know; and how
    long the market is fresh, in seconds: short, so that many refreshes fall into each fault."""

    scarce: int = 5
    candles: int = 200
    market_ttl_s: float = 3.0

    def settings(self) -> dict[str, str]:
        return {
            "CACHE_TTL_MARKET": str(self.market_ttl_s),
            "CACHE_TTL_OHLC": "3",
            "MAX_STALE_OHLC": "30",
            "CACHE_TTL_GAS": "2",
            "CACHE_TTL_SENTIMENT": "5",
            "COOLDOWN": "1",
            "COOLDOWN_MAX": "5",
            "COINGECKO_FREE_LIMITS": f"{self.scarce}/{PERIOD_S} seconds",
            "BINANCE_LIMITS": f"{self.candles}/{PERIOD_S} seconds",
            **{f"{chain.upper()}_RPC_LIMITS": f"{FEES}/{PERIOD_S} seconds" for chain in FEE_CHAINS},
            "STATE_PATH": "state/gateway.sqlite",
            "REQUEST_DEADLINE": "4",
            "WORKERS": "1",
        }

    def world(self) -> World:
        world = World()
        world.unweighted.add("binance")  # as the gateways count a limit of a period of its own
        world.limits |= {
            "coingecko_free": (self.scarce, PERIOD_S),
            "binance": (self.candles, PERIOD_S),
            **{f"{chain}_rpc": (FEES, PERIOD_S) for chain in FEE_CHAINS},
        }
        return world


TERMS = Terms()
START_S = 20.0
WATCH_S = 0.1
#: A process is heard if its last beat is not older, in milliseconds.
RECENT_MS = 1_200
LEASE, MEMBERS = "{gw:gateway}:v1:lease", "{gw:gateway}:members"


@dataclass
class Member:
    """A gateway's process. `down` has the times (monotonic seconds) in which it did not serve: it
    was stopped, or ended and not up again; the last is open-ended while that lasts."""

    folder: Path
    port: int
    link: Link
    settings: dict[str, str]
    process: Process | None = None
    down: list[tuple[float, float]] = field(default_factory=list)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def is_up(self) -> bool:
        return self.process is not None and not (self.down and self.down[-1][1] == float("inf"))

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text(errors="replace")

    async def start(self) -> None:
        """Returns when it serves."""
        self.folder.mkdir(exist_ok=True)
        self.process = await self._stack.enter_async_context(started(self.folder, **self.settings))
        async with asyncio.timeout(START_S), httpx.AsyncClient() as client:
            while True:
                assert self.process.returncode is None, self.output[-3_000:]
                with suppress(httpx.TransportError):
                    await client.get(f"http://127.0.0.1:{self.port}/healthz")
                    break
                await asyncio.sleep(0.02)
        self.note_up()

    async def end(self) -> None:
        """By SIGKILL, if it still runs."""
        self.note_down()
        await self._stack.aclose()
        self.process = None

    async def terminate(self) -> int | None:
        """By SIGTERM; its exit code."""
        assert self.process
        self.note_down()
        self.process.send_signal(SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await self.process.wait()
        code = self.process.returncode
        await self.end()
        return code

    def stop(self) -> None:
        assert self.process
        self.note_down()
        self.process.send_signal(SIGSTOP)

    def go_on(self) -> None:
        if self.process:
            self.process.send_signal(SIGCONT)
            self.note_up()

    def note_down(self) -> None:
        if not (self.down and self.down[-1][1] == float("inf")):
            self.down.append((time.monotonic(), float("inf")))

    def note_up(self) -> None:
        if self.down and self.down[-1][1] == float("inf"):
            self.down[-1] = self.down[-1][0], time.monotonic()

    def was_up(self, since: float, until: float) -> bool:
        return all(until < begin or end < since for begin, end in self.down)


@dataclass(frozen=True)
class Roles:
    """What the store knows: who holds the lease, and each process's own word of its role."""

    leader: Member | None
    roles: dict[int, str]


class Group:
    """The members, their store, and their providers."""

    def __init__(self, world: World, store: Server, members: list[Member]) -> None:
        self.world = world
        self.store = store
        self.members = members
        #: The last one that was seen to hold the lease.
        self.leader = members[0]
        #: Each process that took the lease over: when it was seen (monotonic seconds).
        self.takeovers: list[tuple[float, Member]] = []

    @property
    def followers(self) -> list[Member]:
        return [member for member in self.members if member is not self.leader]

    def admin(self, timeout_s: float = 1.0) -> Redis:
        """A connection of the run's own, without a proxy."""
        return Redis(
            port=self.store.port,
            protocol=2,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )

    async def command(self, *words: Any) -> Any:
        async with self.admin() as admin:
            return await admin.execute_command(*words)  # type: ignore[no-untyped-call]

    async def roles(self) -> Roles:
        """Raises RedisError, OSError or TimeoutError while the store does not answer."""
        async with self.admin(0.3) as admin:
            holder = await _awaited(admin.get(LEASE))
            members = await _awaited(admin.hgetall(MEMBERS))
            seconds, micros = await _awaited(admin.time())
        now_ms = seconds * 1_000 + micros // 1_000
        by_pid = {one.process.pid: one for one in self.members if one.process}
        leader = by_pid.get(_pid_of(holder)) if holder else None
        roles = {}
        for process, value in members.items():
            seen_ms, _, detail = value.decode().partition("|")
            member = by_pid.get(_pid_of(process))
            if member and now_ms - int(seen_ms) < RECENT_MS:
                roles[member.port] = json.loads(detail)["role"]
        return Roles(leader, roles)

    async def watch(self) -> None:
        """Notes who leads, until it is cancelled."""
        while True:
            with suppress(RedisError, OSError, TimeoutError):
                leader = (await self.roles()).leader
                if leader and leader is not (self.takeovers[-1][1] if self.takeovers else None):
                    self.takeovers.append((time.monotonic(), leader))
                    self.leader = leader
            await asyncio.sleep(WATCH_S)

    async def is_led(self) -> bool:
        """One leads, and all others say that they follow."""
        try:
            found = await self.roles()
        except (RedisError, OSError, TimeoutError):
            return False
        roles = sorted(found.roles.values())
        return roles == ["follower"] * (len(self.members) - 1) + ["leader"]

    async def answers_agree(self) -> bool:
        """Each process has the same answers to the questions that all readers share."""
        paths = ("/api/gas?chain=base", "/api/gas")
        async with httpx.AsyncClient(timeout=5) as client:
            for path in paths:
                urls = [f"http://127.0.0.1:{member.port}{path}" for member in self.members]
                try:
                    replies = await asyncio.gather(*map(client.get, urls))
                except httpx.TransportError:
                    return False
                if {reply.status_code for reply in replies} != {200}:
                    return False
                found = {_essence(reply.json()) for reply in replies}
                if len(found) != 1:
                    return False
        return True

    async def keep_status(self) -> None:
        """What each process says of itself and of the providers, beside its output."""
        async with httpx.AsyncClient(timeout=5) as client:
            for member in self.members:
                for name in ("status", "gas?chain=base", "gas"):
                    reply = await client.get(f"http://127.0.0.1:{member.port}/api/{name}")
                    (member.folder / f"{name}.json").write_text(reply.text)


def _essence(document: dict[str, Any]) -> str:
    meta = document["meta"]
    return json.dumps([document["data"], meta["fetched_at"], meta["stale"]])


def _pid_of(process: bytes) -> int:
    """Of an id like `<host>:<pid>:<digits>`."""
    return int(process.decode().rsplit(":", 2)[1])


async def _awaited(reply: Awaitable[Any] | Any) -> Any:
    return await reply


@asynccontextmanager
async def started_group(folder: Path, size: int, terms: Terms = TERMS) -> AsyncIterator[Group]:
    """All processes serve, one of them leads."""
    async with AsyncExitStack() as stack:
        (folder / "store").mkdir()
        store = stack.enter_context(server_running(folder / "store"))
        world = await stack.enter_async_context(terms.world())
        members = []
        for number in range(size):
            link = await stack.enter_async_context(linked(store.port))
            port = free_port()
            settings = world.environment(
                **terms.settings(),
                REDIS_URL=link.url,
                CLUSTER_SIZE=str(size),
                HOST="127.0.0.1",
                PORT=str(port),
            )
            members.append(Member(folder / f"gateway{number}", port, link, settings))
            stack.push_async_callback(members[-1].end)
        group = Group(world, store, members)
        await asyncio.gather(*(member.start() for member in members))
        watching = asyncio.create_task(group.watch())
        stack.callback(watching.cancel)
        async with asyncio.timeout(START_S):
            while not await group.is_led():
                await asyncio.sleep(WATCH_S)
        yield group
