"""Two buckets of one budget: that of the gateway's own calls, and that of calls passed through."""

import random

import pytest

from backend.orchestration.limits.paced_window import PacedWindow, UsageHistory
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.limits.token_buckets import TokenBucket, TokenBuckets
from backend.orchestration.limits.window import Cost, Permit, Priority
from backend.providers.adapter import Window
from tests.clocks import EPOCH, ManualClock

ONE = Cost(1, 1)
PASSED, OWN = Priority.PASS_THROUGH, Priority.SHARED
MONTH = Window(10_000, 30 * 86_400.0)  # 9 500 usable, 190 to save up


def buckets(own: float = 0.0, passed: float = 0.0) -> TokenBuckets:
    made = TokenBuckets(100, 0.25)
    made.of(OWN).tokens, made.of(PASSED).tokens = own, passed
    return made


@pytest.mark.parametrize(
    ("before", "tokens", "after"),
    [
        ((0, 0), 20, (15, 5)),
        ((0, 25), 20, (20, 25)),  # what has no room in one goes to the other
        ((75, 0), 20, (75, 20)),
        ((70, 20), 40, (75, 25)),  # and is lost when both are full
        ((-10, 0), 20, (7.5, 2.5)),  # a debt is paid first
        ((-30, 0), 20, (-10, 0)),
        ((0, -1), 20, (15, 4)),
    ],
)
def test_tokens_come_in(
    before: tuple[float, float], tokens: float, after: tuple[float, float]
) -> None:
    made = buckets(*before)
    made.fill(tokens)
    assert (made.of(OWN).tokens, made.of(PASSED).tokens) == after


@pytest.mark.parametrize("part", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("priority", [OWN, PASSED])
def test_as_many_tokens_as_are_needed_are_enough_and_fewer_are_not(
    part: float, priority: Priority
) -> None:
    chance = random.Random(1)
    for _ in range(2_000):
        slack, loan = chance.choice((1, 4, 190)), chance.choice((0.0, 1.0, 30.0))
        loan = loan if priority is OWN else 0.0
        tokens = [chance.uniform(-1, 1) * slack for _ in range(2)]
        amount = chance.choice((1, 3, 80))
        needed = made(slack, part, tokens).needed(amount, priority, loan)
        for share, is_enough in ((1 + 1e-9, True), (0.99, False)):
            if needed in (0.0, float("inf")) and not is_enough:
                continue
            filled = made(slack, part, tokens)
            filled.fill(min(needed, 1e6) * share + 1e-9 * is_enough)
            affords = filled.of(priority).affords(amount, loan)
            assert affords is (is_enough and needed < float("inf"))


def made(slack: float, part: float, tokens: list[float]) -> TokenBuckets:
    made = TokenBuckets(slack, part)
    for priority, amount in zip((OWN, PASSED), tokens, strict=True):
        bucket = made.of(priority)
        bucket.tokens = min(bucket.capacity, amount)
    return made


def test_buckets_show_their_tokens() -> None:
    assert repr(buckets(3, 1.25)) == "<TokenBuckets 3.0 1.2>"


def test_a_full_bucket_affords_what_it_could_never_save_up() -> None:
    assert TokenBucket(0.75, 0.75).affords(80)
    assert not TokenBucket(0.75, 0.7).affords(1)
    assert not TokenBucket(0.0, 0.0).affords(1), "without a part there is nothing to spend"


def window(clock: ManualClock, part: float = 0.25) -> PacedWindow:
    return PacedWindow(MONTH, clock, UsageHistory({}, EPOCH.timestamp()), part)


def guard(clock: ManualClock, part: float = 0.25) -> RateLimitGuard:
    known = UsageHistory({}, EPOCH.timestamp())
    return RateLimitGuard(clock, [MONTH], lambda _name: known, pass_through_part=part)


def spend(limits: RateLimitGuard, priority: Priority, *, was_sent: bool = True) -> bool:
    permit = limits.try_acquire(ONE, priority)
    if isinstance(permit, Permit):
        limits.settle(permit, was_sent=was_sent, may_have_succeeded=True)
    return isinstance(permit, Permit)


def test_passed_calls_use_up_their_own_tokens_only(clock: ManualClock) -> None:
    limits = guard(clock)
    assert sum(spend(limits, PASSED) for _ in range(500)) == 47  # a quarter of 190
    assert sum(spend(limits, OWN) for _ in range(500)) == 142 + 190  # with the loan


def test_a_flood_of_passed_calls_gets_its_part_and_what_the_others_leave(
    clock: ManualClock,
) -> None:
    limits = guard(clock)
    everything = 3 * 86_400 / limits.interval_s(ONE)
    alone = passed_in_three_days(clock, limits, Priority.RECURRENT, 0)
    assert alone == pytest.approx(everything, rel=0.1)
    beside = passed_in_three_days(clock, limits, Priority.RECURRENT, 5)
    assert beside == pytest.approx(everything / 4, rel=0.2)


def test_a_flood_takes_nothing_of_what_all_readers_share(clock: ManualClock) -> None:
    """Queries that may borrow use up the whole budget: then nothing is passed through."""
    limits = guard(clock)
    assert passed_in_three_days(clock, limits, Priority.SHARED, 5) < 60


def passed_in_three_days(
    clock: ManualClock, limits: RateLimitGuard, priority: Priority, tried_a_minute: int
) -> int:
    """How many of a flood pass, while the gateway makes all calls of its own that it can."""
    passed = 0
    for _ in range(3 * 1_440):
        clock.advance(60)
        for _ in range(tried_a_minute):
            spend(limits, priority)
        passed += spend(limits, PASSED)
    return passed


def test_a_call_that_was_not_sent_gives_its_token_back(clock: ManualClock) -> None:
    limits = guard(clock)
    for _ in range(500):
        assert spend(limits, PASSED, was_sent=False)


def test_without_a_part_nothing_is_passed_through(clock: ManualClock) -> None:
    limits = guard(clock, part=0.0)
    assert not spend(limits, PASSED)
    assert limits.interval_s(ONE, PASSED) == float("inf")


def test_the_interval_of_passed_calls_is_that_of_their_part(clock: ManualClock) -> None:
    paced = window(clock)
    assert paced.interval_s(ONE, PASSED) == pytest.approx(4 * paced.interval_s(ONE, OWN))


def test_a_refusal_tells_when_the_next_call_may_be_passed_through(clock: ManualClock) -> None:
    limits = guard(clock)
    while spend(limits, PASSED):
        pass
    refused = limits.check(ONE, PASSED)
    assert refused is not None
    clock.advance(refused.retry_at - clock.monotonic() - 1)
    assert not spend(limits, PASSED)
    clock.advance(2)
    assert spend(limits, PASSED)


def test_passed_calls_leave_more_of_a_short_window(clock: ManualClock) -> None:
    limits = RateLimitGuard(clock, [Window(100, 60.0)])  # 95 usable
    assert sum(spend(limits, PASSED) for _ in range(100)) == 57
    assert sum(spend(limits, OWN) for _ in range(100)) == 38


def test_the_only_call_of_a_window_is_not_passed_through(clock: ManualClock) -> None:
    limits = RateLimitGuard(clock, [Window(2, 60.0)])  # 1 usable
    assert not spend(limits, PASSED)
    refused = limits.check(ONE, PASSED)
    assert refused is not None
    assert refused.retry_at > clock.monotonic()
    assert spend(limits, OWN)
