"""The ledger: told before a call leaves, and once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from backend.orchestration.limits.ledger import Ledger, saved_usage
from backend.orchestration.limits.paced_window import UsageHistory
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.limits.window import Cost, Permit
from backend.providers.adapter import Window
from backend.storage.contract import SavedState, Storage
from tests.clocks import EPOCH, EPOCH_MS, ManualClock

DAY = Window(1_000, 86_400.0)
ONE, MINUTE = Cost(1, 1), EPOCH_MS // 60_000
KEY = ("acc/plan/day", MINUTE)


@dataclass
class Store(Storage):
    """Keeps what it is told. What a real one cannot write it owes: tests/storage."""

    kept: Counter[tuple[str, int]] = field(default_factory=Counter)
    told: list[dict[tuple[str, int], int]] = field(default_factory=list)
    seen_at: float | None = None

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float | None) -> bool:
        self.told.append(dict(amounts))
        self.kept.update(amounts)
        self.seen_at = now_s
        return True


def opened(clock: ManualClock, store: Store, window: Window = DAY) -> tuple[RateLimitGuard, Ledger]:
    """As after a start: the guard knows what the store knows."""
    known: dict[str, dict[int, int]] = {}
    for (name, minute), amount in store.kept.items():
        known.setdefault(name, {})[minute] = amount
    seen_at = clock.now().timestamp() if store.seen_at is None else store.seen_at
    saved = SavedState(known, seen_at=seen_at)
    guard = RateLimitGuard(clock, [window], partial(saved_usage, saved, "acc/plan"))
    return guard, Ledger("acc/plan", guard, store, clock)


def take(guard: RateLimitGuard) -> Permit:
    permit = guard.try_acquire(ONE)
    assert isinstance(permit, Permit)
    return permit


async def test_a_call_is_in_the_store_before_it_is_settled(clock: ManualClock) -> None:
    store = Store()
    guard, ledger = opened(clock, store)
    take(guard)
    await ledger.save()
    assert store.kept == {KEY: 1}
    assert store.seen_at == EPOCH.timestamp()
    assert repr(ledger) == "<Ledger acc/plan>"


async def test_a_call_counts_even_if_the_process_is_killed_during_it(clock: ManualClock) -> None:
    store = Store()
    guard, ledger = opened(clock, store)
    for _ in range(3):
        take(guard)
        await ledger.save()
    guard, _ = opened(clock, store)  # nothing was settled, nothing was said
    assert guard.quotas()[0].used == 3
    assert guard.quotas()[0].assumed_usage == 0


async def test_a_settled_call_is_stored_once(clock: ManualClock) -> None:
    store = Store()
    guard, ledger = opened(clock, store)
    permit = take(guard)
    await ledger.save()
    guard.settle(permit, was_sent=True, may_have_succeeded=True)
    await ledger.save()
    assert (store.kept, len(store.told)) == ({KEY: 1}, 1)


async def test_a_call_that_was_not_sent_is_released_at_its_minute(clock: ManualClock) -> None:
    store = Store()
    guard, ledger = opened(clock, store)
    permit = take(guard)
    await ledger.save()
    clock.advance(90)
    guard.settle(permit, was_sent=False, may_have_succeeded=True)
    await ledger.save()
    assert store.told == [{KEY: 1}, {KEY: -1}]
    assert opened(clock, store)[0].quotas()[0].used == 0


async def test_a_call_in_the_place_of_a_released_one_is_asked_for_too(clock: ManualClock) -> None:
    """The sum does not change. A store that other processes share may refuse the call."""
    store = Store()
    guard, ledger = opened(clock, store)
    released = take(guard)
    await ledger.save()
    guard.settle(released, was_sent=False, may_have_succeeded=True)
    take(guard)
    await ledger.save()
    assert store.told == [{KEY: 1}, {KEY: 0}]


async def test_a_call_released_at_once_costs_no_write(clock: ManualClock) -> None:
    store = Store()
    guard, ledger = opened(clock, store)
    guard.settle(take(guard), was_sent=False, may_have_succeeded=True)
    await ledger.save()
    assert store.told == []


def test_each_window_has_its_own_history() -> None:
    remembered = {"acc/plan/day": {MINUTE: 7}, "other/plan/day": {MINUTE: 9}}
    saved = SavedState(remembered, seen_at=5.0)
    assert saved_usage(saved, "acc/plan", "day") == UsageHistory({MINUTE: 7}, 5.0)
    assert saved_usage(saved, "acc/plan", "month") == UsageHistory({}, 5.0)
