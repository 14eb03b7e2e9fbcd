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


A_MONTH = Window(10_000, 30 * 86_400.0)


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


def opened(
    clock: ManualClock,
    store: Store,
    window: Window = DAY,
    *,
    is_first_start: bool = False,
    is_new_key: bool = False,
) -> tuple[RateLimitGuard, Ledger]:
    """As after a start: the guard knows what the store knows."""
    known: dict[str, dict[int, int]] = {}
    for (name, minute), amount in store.kept.items():
        known.setdefault(name, {})[minute] = amount
    begin = None if is_first_start else clock.now().timestamp()
    saved = SavedState(known, seen_at=begin if store.seen_at is None else store.seen_at)
    history = partial(saved_usage, saved, "acc/plan", is_new_key=is_new_key)
    guard = RateLimitGuard(clock, [window], history)
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


async def spend(guard: RateLimitGuard, ledger: Ledger) -> None:
    permit = take(guard)
    await ledger.save()
    guard.settle(permit, was_sent=True, may_have_succeeded=True)
    await ledger.save()


async def test_after_a_restart_calls_and_assumed_calls_are_still_told_apart(
    clock: ManualClock,
) -> None:
    store = Store()
    guard, ledger = opened(clock, store, A_MONTH, is_first_start=True)
    await spend(guard, ledger)
    (first,) = guard.quotas()
    assert (first.called, first.assumed_usage, first.used) == (1, 9_310, 9_311)
    guard, _ = opened(clock, store, A_MONTH)
    assert guard.quotas() == (first,)
    assert guard.unsaved() == {}, "nothing is assumed twice"


async def test_of_a_new_key_nothing_is_assumed(clock: ManualClock) -> None:
    store = Store()
    guard, ledger = opened(clock, store, A_MONTH, is_first_start=True, is_new_key=True)
    await spend(guard, ledger)
    (quota,) = guard.quotas()
    assert (quota.called, quota.assumed_usage, quota.used) == (1, 0, 1)
    assert store.kept == {("acc/plan/30 days", MINUTE): 1}


async def test_a_key_that_turns_out_to_be_new_gets_back_what_was_assumed_and_no_call(
    clock: ManualClock,
) -> None:
    store = Store()
    guard, ledger = opened(clock, store, A_MONTH, is_first_start=True)
    for _ in range(3):
        await spend(guard, ledger)
    for is_new_key in (True, False):  # the setting is removed again after a start
        guard, ledger = opened(clock, store, A_MONTH, is_new_key=is_new_key)
        await ledger.save()
        (quota,) = guard.quotas()
        assert (quota.called, quota.assumed_usage) == (3, 0)


async def test_also_of_a_new_key_later_time_without_records_counts_as_used(
    clock: ManualClock,
) -> None:
    store = Store()
    guard, ledger = opened(clock, store, A_MONTH, is_first_start=True, is_new_key=True)
    await spend(guard, ledger)
    clock.advance(86_400)
    for _ in range(2):  # and it is not given back by the next start
        guard, ledger = opened(clock, store, A_MONTH, is_new_key=True)
        await ledger.save()
        (quota,) = guard.quotas()
        assert (quota.called, quota.assumed_usage) == (1, 9_500 // 30)
        store.seen_at = clock.now().timestamp()
