"""Several processes over one fake store, with a provider that counts, in virtual time.

Each process has the real Membership, SharedStorage, ProviderFactory, guards, ledgers and endpoints.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from backend.cluster.identity import Identity
from backend.cluster.membership import Membership
from backend.cluster.shared_storage import SHARE_MARK, SharedStorage
from backend.cluster.store import Calls
from backend.errors import ProviderError
from backend.joined_cluster import JoinedCluster
from backend.orchestration.calls.endpoint import Endpoint
from backend.orchestration.limits.cluster_guard import ClusterLimits, share_of
from backend.orchestration.limits.window import usable_limit
from backend.orchestration.provider_factory import ProviderFactory
from backend.providers.adapter import Call, Plan, ProviderSpec, Reply, Window
from backend.settings import Configuration
from backend.storage.contract import SavedState, Storage
from tests.clocks import EPOCH, LoopClock
from tests.cluster.fake_store import FakeServer, FakeStore
from tests.walk import stub_adapter

SIZE = 3
PERIOD_S = 20.0
#: As PROVIDER_TIMEOUT: the calls of a process end by then, so that the log has them late enough.
DEADLINE_S = 3.0
#: 57 usable calls: 45 of the pool and 4 for each process; 4 usable calls, all of the pool.
LIMITS = {"plenty": 60, "scarce": 5}
SPECS = tuple(
    ProviderSpec(
        name,
        stub_adapter(),
        keyless=Plan("open", (f"https://{name}.example",), (Window(limit, PERIOD_S),)),
    )
    for name, limit in LIMITS.items()
)
SHARES = {
    name: share_of(limit, SIZE) if usable_limit(limit) >= 20 else 0
    for name, limit in LIMITS.items()
}
POOLS = {name: usable_limit(limit) - SIZE * SHARES[name] for name, limit in LIMITS.items()}

#: Of the call that a task makes: whether it is of the pool, and when the store acknowledged it.
_RECORDED: ContextVar[tuple[bool, float]] = ContextVar("recorded")


@dataclass(frozen=True)
class Counted:
    """A call as the provider counted it."""

    at: float
    account: str
    worker: int
    is_of_pool: bool


class ProcessClock(LoopClock):
    """The wall clock of a machine may be wrong by `skew_s`."""

    skew_s = 0.0

    def now(self) -> Any:
        return EPOCH + timedelta(seconds=self.monotonic() + self.skew_s)


class File(Storage):
    """What a machine's disk keeps."""

    def __init__(self) -> None:
        self.calls: Calls = {}
        self.seen_at: float | None = None

    async def load(self) -> SavedState:
        calls = {window: dict(ticks) for window, ticks in self.calls.items()}
        return SavedState(calls, {}, self.seen_at)

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float | None) -> bool:
        for (window, tick), amount in amounts.items():
            ticks = self.calls.setdefault(window, {})
            ticks[tick] = ticks.get(tick, 0) + amount
        self.seen_at = now_s or self.seen_at
        return True

    async def heartbeat(self, now_s: float) -> None:
        self.seen_at = now_s


class NotingStorage(SharedStorage):
    """Notes what becomes of each call: see `World.check_call`."""

    process: "Process"
    #: Set while the process runs; a stopped one (SIGSTOP) goes on when it is set again.
    runs: asyncio.Event

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float | None) -> bool:
        pool = any(SHARE_MARK not in window for window, _ in amounts)
        is_recorded = await super().add_calls(amounts, now_s)
        _RECORDED.set((pool, self.process.clock.monotonic()))
        if pool and is_recorded and self.process.is_fenced:
            self.process.world.broken.append("a fenced process used the pool before it led again")
        await self.runs.wait()
        return is_recorded

    async def _record(self, pool: Mapping[tuple[str, int], int]) -> bool:
        fenced = self._membership.fenced
        is_recorded = await super()._record(pool)
        self.process.is_fenced |= self._membership.fenced > fenced
        return is_recorded


class Client:
    """In the place of ProviderClient: the provider counts each call at its beginning or end."""

    def __init__(self, process: "Process", world: "World") -> None:
        self._process = process
        self._world = world

    async def call(
        self, _adapter: object, _call: Call, url: str, _key: object, left_s: float
    ) -> Reply:
        world, account = self._world, url.removeprefix("https://").partition(".")[0]
        is_of_pool, recorded_at = _RECORDED.get()
        assert world.clock.monotonic() - recorded_at <= DEADLINE_S
        takes_s, is_counted_late = world.random.uniform(0.01, min(left_s, 0.9)), False
        if world.random.random() < 0.5:
            is_counted_late = True
        else:
            world.count(Counted(world.clock.monotonic(), account, self._process.worker, is_of_pool))
        try:
            await asyncio.sleep(takes_s)
        finally:
            if is_counted_late:
                now = world.clock.monotonic()
                world.count(Counted(now, account, self._process.worker, is_of_pool))
        return Reply(url, {}, {})


class Process:
    """One process of the cluster, from its start to its end."""

    def __init__(self, world: "World", worker: int, number: int) -> None:
        self.world, self.worker = world, worker
        self.clock = ProcessClock()
        self.clock.skew_s = world.skews[worker]
        self.store = FakeStore(world.server)
        self.store.fate = world.fate
        name = f"machine-{worker}-{number}"
        identity = Identity(name, f"machine/{worker}", "gateway", "1", SIZE, True, "{}")
        self.membership = Membership(self.store, identity, self.clock)
        self.is_fenced = self.is_ended = False
        self.tasks: list[asyncio.Task[Any]] = []
        self.endpoints: dict[str, Endpoint] = {}

    async def start(self) -> None:
        membership, world = self.membership, self.world
        await membership.connect()
        limits = ClusterLimits(
            lambda: membership.leads, lambda: membership.has_share, SIZE, self.worker
        )
        storage = NotingStorage(
            world.files[self.worker], membership, self.clock, writes_answers=False
        )
        storage.process, storage.runs = self, asyncio.Event()
        storage.runs.set()
        self.storage = storage
        self.factory = ProviderFactory(
            world.configuration,
            Client(self, world),  # type: ignore[arg-type]
            clock=self.clock,
            emit=lambda _event: None,
            jitter=lambda: 1.0,
            redact=str,
            store=storage,
            saved=await storage.load(),
            shared=limits,
        )
        for spec in SPECS:
            endpoint = self.factory.build(spec)._executor.keyless
            assert endpoint
            self.endpoints[spec.name] = endpoint
        JoinedCluster(membership, storage, limits, self.clock, 1).take_over_with(self.factory)
        take_over = membership.take_over

        async def noted(takeover: Any) -> bool:
            is_done = await take_over(takeover)
            if is_done:
                self.is_fenced = False
                world.check_books(self)
            return is_done

        membership.take_over = noted
        work = [membership.run(), self._save(), *(self._call(name) for name in LIMITS)]
        self.tasks = [asyncio.create_task(one) for one in work]

    async def kill(self) -> None:
        """kill -9: no goodbye; what is under way may have been counted."""
        self.store.drop("killed")
        self.store.is_cut = True
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def end(self) -> None:
        """SIGTERM."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.membership.aclose()
        self.store.is_cut = True

    async def _call(self, account: str) -> None:
        """More than the limits allow; several calls may be under way."""
        endpoint, calls = self.endpoints[account], set[asyncio.Task[None]]()
        try:
            while True:
                await asyncio.sleep(self.world.random.expovariate(3.0))
                call = asyncio.create_task(self._call_once(endpoint))
                calls.add(call)
                call.add_done_callback(calls.discard)
                call.add_done_callback(self._note_end)
        finally:
            self.is_ended = True
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    async def _call_once(self, endpoint: Endpoint) -> None:
        deadline = self.clock.monotonic() + DEADLINE_S
        try:
            await endpoint.call(Call("/"), deadline, lambda _error, _next: None)
        except ProviderError:
            return

    def _note_end(self, call: asyncio.Task[None]) -> None:
        if call.cancelled() and not self.is_ended:
            self.world.broken.append(f"{self.membership!r}: a call was cancelled by nobody")

    async def _save(self) -> None:
        """As `_save_periodically` of backend/gateway.py."""
        while True:
            now_s = self.clock.now().timestamp()
            for ledger in self.factory.ledgers.values():
                await ledger.save()
            await self.storage.heartbeat(now_s)
            assert self.factory.shared
            await self.storage.add_calls({(self.factory.shared.mark, int(now_s)): 1}, None)
            await self.storage.delete_before(int(now_s / 60) - 90_000, int(now_s) - 3_700, 0)
            await asyncio.sleep(5)


@dataclass
class World:
    """`broken` is what must not happen. `fate` is that of each command."""

    configuration: Configuration
    random: random.Random
    fate: Callable[[str], Any] = lambda _command: ""
    clock: LoopClock = field(default_factory=LoopClock)
    counted: list[Counted] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    processes: dict[int, Process] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server = FakeServer(self.clock)
        self.files = {worker: File() for worker in range(SIZE)}
        self.skews = dict.fromkeys(range(SIZE), 0.0)
        self.happened: Counter[str] = Counter()
        self._numbers = iter(range(10_000))

    async def start(self, worker: int) -> None:
        process = Process(self, worker, next(self._numbers))
        process.store.fate = self.fate
        await process.start()
        self.processes[worker] = process

    async def aclose(self) -> None:
        for process in self.processes.values():
            await process.kill()

    def leaders(self) -> list[Process]:
        return [one for one in self.processes.values() if one.membership.leads]

    def count(self, call: Counted) -> None:
        self.counted.append(call)
        recent = self.in_period(call.account)
        pool = sum(one.is_of_pool for one in recent)
        own = sum(not one.is_of_pool and one.worker == call.worker for one in recent)
        account, at = call.account, f"at {call.at:.2f}"
        if pool > POOLS[account]:
            self.broken.append(f"{pool} of {POOLS[account]} calls of {account}'s pool {at}")
        if own > SHARES[account]:
            self.broken.append(f"{own} of {SHARES[account]} calls of {account}'s share {at}")
        if len(recent) > usable_limit(LIMITS[account]):
            self.broken.append(f"{len(recent)} of {LIMITS[account]} calls of {account} {at}")

    def in_period(self, account: str) -> list[Counted]:
        since = self.clock.monotonic() - PERIOD_S
        return [one for one in self.counted[-200:] if one.account == account and one.at > since]

    def check_books(self, process: Process) -> None:
        """The store has at least as many calls of the last period as the provider."""
        self.happened["takeover"] += 1
        since = self.server.now_ms / 1000 - PERIOD_S
        for account in LIMITS:
            books = sum(
                amount
                for (window, tick), amount in self.server.data.calls.items()
                if window.startswith(f"{account}/") and tick > since
            )
            true = sum(one.is_of_pool for one in self.in_period(account))
            if books < true:
                text = f"{process.membership!r}: {books} calls of {account} known, {true} made"
                self.broken.append(f"{text} at {self.clock.monotonic():.2f}")
