"""Any order of calls, jumps of the clock and restarts, against a provider that counts for itself.

The provider counts by the true time, which is the steady clock's. A wall clock that was set is
wrong till the next restart, and right again by then.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backend.orchestration.limits.paced_window import UsageHistory
from backend.orchestration.limits.period import month_start
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.limits.window import Cost, Permit, Priority
from backend.providers.adapter import Window
from tests.clocks import EPOCH, ManualClock

DAY_S = 86_400.0
HEADER = "x-used"
WINDOWS = (
    Window(40, DAY_S, header=HEADER),
    Window(40, DAY_S, kind="day", header=HEADER),
    Window(900, 30 * DAY_S, kind="month", anchor_day=31, header=HEADER),
    Window(60, DAY_S, kind="day", unit="weight", header=HEADER),
)


class Budget(RuleBasedStateMachine):
    """`answered`: (true second, amount) of each call as the provider counted it."""

    @initialize(
        window=st.sampled_from(WINDOWS),
        part=st.sampled_from([0.0, 0.25]),
        at_s=st.integers(0, 90 * 86_400),
    )
    def begin(self, window: Window, part: float, at_s: int) -> None:
        self.window, self.part, self.clock = window, part, ManualClock()
        self.clock.advance(at_s)
        self.kept: dict[int, int] = {}
        self.answered: list[tuple[float, int]] = []
        self.in_flight: list[Permit] = []
        self.seen_at = self.clock.now().timestamp()
        self.start()

    def start(self) -> None:
        past = UsageHistory(dict(self.kept), self.seen_at)
        self.guard = RateLimitGuard(
            self.clock, [self.window], lambda _name: past, pass_through_part=self.part
        )
        #: A wall clock that was two hours fast for a day was believed, and ended a period too soon.
        self.is_deceived = False
        self.save()

    def save(self) -> None:
        for (_, minute), amount in self.guard.unsaved().items():
            self.kept[minute] = self.kept.get(minute, 0) + amount
        self.seen_at = self.clock.now().timestamp()

    def amount(self, cost: Cost) -> int:
        return cost.weight if self.window.unit == "weight" else cost.requests

    @rule(times=st.integers(1, 12), weight=st.integers(1, 3), priority=st.sampled_from(Priority))
    def call(self, times: int, weight: int, priority: Priority) -> None:
        """Reserved, told to the store, and sent; some time later they are settled."""
        for _ in range(times):
            permit = self.guard.try_acquire(Cost(1, weight), priority)
            if not isinstance(permit, Permit):
                return
            self.save()
            self.in_flight.append(permit)

    @precondition(lambda self: self.in_flight)
    @rule(was_sent=st.booleans(), delay_s=st.floats(0, 4), at_once=st.booleans())
    def settle(self, was_sent: bool, delay_s: float, at_once: bool) -> None:
        arrived = self.true_s()
        self.clock.advance(delay_s)
        for permit in self.in_flight:
            if was_sent:
                counted = arrived if at_once else self.true_s()
                self.answered.append((counted, self.amount(permit.cost)))
            self.guard.settle(permit, was_sent=was_sent, may_have_succeeded=True)
        self.in_flight.clear()
        self.save()

    @precondition(lambda self: not self.in_flight)
    @rule()
    def observe(self) -> None:
        """The provider reports what it has counted: never more than we have. After a wrong clock
        was believed it may be more, and is taken over."""
        before, counted = self.guard.quotas()[0], self.counted()
        self.guard.observe({HEADER: str(counted)})
        after = self.guard.quotas()[0]
        if self.window.kind != "sliding" and self.is_deceived and counted > before.used:
            assert after.used == counted
        else:
            assert after == before
        self.save()

    @rule(seconds=st.sampled_from([1, 59, 61, 600, 3_600, 6 * 3_600, 86_399, 86_400, 40 * 86_400]))
    def advance(self, seconds: int) -> None:
        if not self.in_flight:  # none is under way for longer than its timeout
            self.clock.advance(seconds)

    @rule(skew_s=st.sampled_from([-7_200.0, -60.0, 0.0, 60.0, 7_200.0]))
    def jump(self, skew_s: float) -> None:
        """The wall clock is set, and if it stays so for a day it is believed."""
        self.clock.skew = skew_s

    @rule(down_s=st.sampled_from([0, 30, 90, 3_600, 86_400]))
    def kill(self, down_s: int) -> None:
        """Whatever was under way was counted over there. The clock is right again."""
        for permit in self.in_flight:
            self.answered.append((self.true_s(), self.amount(permit.cost)))
        self.in_flight.clear()
        self.clock.skew = 0.0
        self.seen_at = min(self.seen_at, self.clock.now().timestamp())
        self.clock.advance(down_s)
        self.start()

    def true_s(self) -> float:
        return EPOCH.timestamp() + self.clock.elapsed

    def under_way(self) -> int:
        return sum(self.amount(permit.cost) for permit in self.in_flight)

    def counted(self) -> int:
        """In the provider's present period."""
        now = self.true_s()
        begins = {
            "sliding": now - DAY_S,
            "day": now // DAY_S * DAY_S,
            "month": month_start(now, self.window.anchor_day),
        }[self.window.kind]
        is_sliding = self.window.kind == "sliding"
        return sum(n for at, n in self.answered if at > begins or (at == begins and not is_sliding))

    @invariant()
    def never_more_than_the_limit(self) -> None:
        assert self.counted() + self.under_way() <= self.window.limit

    @invariant()
    def ours_is_never_less_than_the_providers_count(self) -> None:
        used = self.guard.quotas()[0].used
        self.is_deceived |= self.guard._long[0]._period.time.earliest > self.true_s() + 1
        is_calendar = self.window.kind != "sliding"
        if not (is_calendar and self.is_deceived):
            assert used >= self.counted() + self.under_way()

    @invariant()
    def the_store_knows_of_each_call(self) -> None:
        answered = sum(amount for _, amount in self.answered)
        assert sum(self.kept.values()) >= answered
        assert min(self.kept.values(), default=0) >= 0


TestBudget = pytest.mark.many_rounds(Budget.TestCase)
TestBudget.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
