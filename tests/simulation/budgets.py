"""A month of a small gateway in virtual time: the real cache, manager and guard, over oracles.

Run as a program it prints the table of docs/behaviour.md: `python -m tests.simulation.budgets`.
"""

import asyncio
import math
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from backend.cache.cached_source import CachedSource
from backend.cache.freshness import Freshness, constant
from backend.cache.ttl_cache import TTLCache
from backend.errors import GatewayError
from backend.models.answer import Answer
from backend.models.status import ProviderState
from backend.orchestration.calls.endpoint import Endpoint, Hosts
from backend.orchestration.health.circuit_breaker import CircuitBreaker
from backend.orchestration.limits.ledger import Ledger, saved_usage
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.provider import Provider
from backend.orchestration.provider_manager import ProviderManager
from backend.providers.adapter import Plan, ProviderSpec, Window
from backend.providers.client import ProviderClient
from backend.storage.contract import SavedState, Storage
from tests.simulation.oracles import DAY_S, CalendarMonth, Limit, Oracle, Sliding
from tests.walk import PriceQuery, SeriesQuery, Wire, stub_adapter

TTL_S, MAX_STALE_S = 60.0, 6 * 3_600.0
QUARTER_S = 900.0
#: CoinGecko's Demo plan as its facts sheet has it.
DEMO = (Window(30, 60), Window(10_000, 30 * DAY_S, kind="month", counts_on="success"))


class WorldClock:
    """True time, moved by hand, and a wall clock that may be wrong."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self.elapsed = 0.0
        self.wrong_s = 0.0

    def monotonic(self) -> float:
        return self.elapsed

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.elapsed + self.wrong_s)

    def true_s(self) -> float:
        return self._start.timestamp() + self.elapsed


class MemoryStore(Storage):
    """The state store's ledger, as far as it had been told when the process was killed."""

    def __init__(self) -> None:
        self.calls: dict[str, dict[int, int]] = {}
        self.seen_at: float | None = None

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float | None) -> bool:
        for (window, minute), amount in amounts.items():
            held = self.calls.setdefault(window, {})
            held[minute] = held.get(minute, 0) + amount
        self.seen_at = now_s
        return True


@dataclass
class Outcome:
    """What readers got, and what it cost."""

    reads: int = 0
    fresh: int = 0
    stale: int = 0
    errors: int = 0
    within_quarter: int = 0
    oldest_s: float = 0.0
    calls: int = 0
    overruns: int = 0
    #: Reads that were refused or older than a quarter, by day.
    bad_days: set[int] = field(default_factory=set)

    @property
    def share_within_quarter(self) -> float:
        return self.within_quarter / max(1, self.reads)

    @property
    def share_answered(self) -> float:
        return (self.fresh + self.stale) / max(1, self.reads)


@dataclass
class Plot:
    """What happens, and when; seconds since the start unless they say otherwise."""

    start: datetime = datetime(2026, 11, 1, tzinfo=UTC)
    days: float = 30.0
    hot_keys: int = 2
    read_every_s: float = 30.0
    windows: tuple[Window, ...] = DEMO
    limits: Callable[[], tuple[Limit, ...]] = lambda: (Sliding(30, 60), CalendarMonth(10_000))
    spike_at: float = 15 * DAY_S
    spike_s: float = 6 * 3_600.0
    spike_factor: int = 20
    #: So many times more different questions, too.
    spike_keys: int = 1
    #: Series that a reader asks for once and never again: so often, each time another one.
    one_off_every_s: float = math.inf
    restarts: tuple[float, ...] = ()
    down: tuple[tuple[float, float], ...] = ()
    #: (when, how wrong the wall clock is from then on)
    clock_jumps: tuple[tuple[float, float], ...] = ()
    keeps_state: bool = True
    seed: int = 7


class Gateway:
    """The core of one process, over what outlived the last one."""

    def __init__(self, plot: Plot, clock: WorldClock, oracle: Oracle, store: MemoryStore) -> None:
        known = store if plot.keeps_state else MemoryStore()
        saved = SavedState(known.calls, seen_at=known.seen_at)
        self.guard = RateLimitGuard(clock, plot.windows, partial(saved_usage, saved, "demo"))
        self.ledger = Ledger("demo", self.guard, store, clock)
        spec = ProviderSpec("demo", stub_adapter(), keyless=Plan("demo", (HOST,), plot.windows))
        assert spec.keyless
        self._client = ProviderClient(clock, Wire({"demo": oracle}))
        endpoint = Endpoint(
            spec.adapter,
            spec.keyless,
            hosts=Hosts(clock, (HOST,)),
            guard=self.guard,
            credential=None,
            client=self._client,
            clock=clock,
            ledger=self.ledger,
        )
        breaker = CircuitBreaker(
            clock,
            cooldown_s=30,
            cooldown_max_s=300,
            lease_s=4,
            jitter=lambda: 1.0,
            state=ProviderState.ACTIVE,
        )
        provider = Provider(
            spec, keyed=None, keyless=endpoint, breaker=breaker, clock=clock, emit=_nobody
        )
        self.manager = ProviderManager(
            [provider], clock=clock, emit=_nobody, deadline_s=4, attempt_timeout_s=3
        )
        self.is_paced = True
        self.source = CachedSource[PriceQuery, float](
            self.manager,
            TTLCache[Answer[float]](clock, 1_000),
            clock=clock,
            emit=_nobody,
            freshness=partial(constant, Freshness(TTL_S, MAX_STALE_S)),
            deadline_s=4,
            budget_interval_s=lambda query: (
                self.manager.refresh_interval_s(query) if self.is_paced else 0.0
            ),
        )

    def unpaced(self) -> "Gateway":
        """Counted all the same, but spent as it is asked for: the switch of the simulation."""
        self.is_paced = False
        for window in self.guard._long:
            window._slack = 10 * window._usable
            window._buckets.resize(window._slack)
            window._buckets.restart(window._slack)
        return self

    async def aclose(self) -> None:
        await self.source.aclose()
        await self._client.__aexit__(None, None, None)


HOST = "https://demo.example"


def _nobody(_event: object) -> None: ...


async def simulate(plot: Plot, *, is_paced: bool = True) -> tuple[Outcome, Oracle]:
    """The whole plot. Reads come at random, so often on the average."""
    clock, store, chance = WorldClock(plot.start), MemoryStore(), random.Random(plot.seed)
    oracle, outcome = Oracle(plot.limits(), clock.true_s), Outcome()

    def begin() -> Gateway:
        gateway = Gateway(plot, clock, oracle, store)
        return gateway if is_paced else gateway.unpaced()

    gateway, restarts = begin(), sorted(plot.restarts)
    while clock.elapsed < plot.days * DAY_S:
        is_spike = plot.spike_at <= clock.elapsed < plot.spike_at + plot.spike_s
        mean_s = plot.read_every_s / (plot.spike_factor if is_spike else 1)
        clock.elapsed += chance.expovariate(1 / mean_s)
        jumps = [by for at, by in plot.clock_jumps if clock.elapsed >= at]
        clock.wrong_s = jumps[-1] if jumps else 0.0
        oracle.is_down = any(since <= clock.elapsed < until for since, until in plot.down)
        if restarts and clock.elapsed >= restarts[0]:
            restarts.pop(0)
            await gateway.aclose()
            gateway = begin()
        keys = plot.hot_keys * (plot.spike_keys if is_spike else 1)
        query = PriceQuery(f"coin-{chance.randrange(keys)}")
        if chance.random() < mean_s / plot.one_off_every_s:
            once = SeriesQuery(f"series-{clock.elapsed}")
            await read(gateway, once, clock, Outcome())
        await read(gateway, query, clock, outcome)
    await gateway.aclose()
    outcome.calls, outcome.overruns = oracle.calls, len(oracle.overruns)
    return outcome, oracle


async def read(gateway: Gateway, query: PriceQuery, clock: WorldClock, outcome: Outcome) -> None:
    outcome.reads += 1
    try:
        answer = await gateway.source.fetch(query)
    except GatewayError:
        outcome.errors += 1
        outcome.bad_days.add(int(clock.elapsed // DAY_S))
        return
    age_s = clock.true_s() - answer.data  # the oracle's price is its own time
    outcome.stale += answer.stale
    outcome.fresh += not answer.stale
    outcome.oldest_s = max(outcome.oldest_s, age_s)
    if age_s <= QUARTER_S:
        outcome.within_quarter += 1
    else:
        outcome.bad_days.add(int(clock.elapsed // DAY_S))
    if refreshes := list(gateway.source._refreshes._tasks.values()):  # in the background
        await asyncio.wait(refreshes)


async def table() -> str:
    rows = []
    for name, is_paced in (("unpaced", False), ("paced", True)):
        outcome, _ = await simulate(Plot(), is_paced=is_paced)
        rows.append(
            f"| {name} | {outcome.calls:,} | {outcome.share_within_quarter:.1%} "
            f"| {outcome.oldest_s / 60:.0f} min | {outcome.errors / outcome.reads:.1%} "
            f"| {len(outcome.bad_days)} of 30 |"
        )
    head = (
        "| two hot keys, 10,000 calls a month | calls | reads at most 15 min old | oldest "
        "| reads refused | days with worse |\n|---|---:|---:|---:|---:|---:|"
    )
    return "\n".join([head, *rows])


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(table()) + "\n")
