"""The limits of an account that several processes share: the pool, and a share for each process.

The leader of the cluster calls within the pool, all others within their own share. The pool and all
shares together are within the limit, so that nothing else has to be agreed on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count

from backend.clock import Clock
from backend.models.account import AccountLimits
from backend.models.status import Quota
from backend.orchestration.limits.paced_window import UsageHistory
from backend.orchestration.limits.rate_limit_guard import LONGEST_LOG_S, RateLimitGuard
from backend.orchestration.limits.sliding_window import COUNTED_LATE_S
from backend.orchestration.limits.window import (
    Cost,
    Permit,
    Priority,
    Refused,
    usable_limit,
)
from backend.providers.adapter import Window

#: Part of a limit that is shared out among the processes of a cluster.
SHARED_OUT = 0.25
#: A limit of fewer usable calls is not shared out: shares would be of no use.
LEAST_USABLE = 20
#: A process without a share is told to ask again after this, in seconds: when another leads.
RETRY_S = 1.0


def share_of(limit: int, processes: int) -> int:
    """Calls of a limit that one of so many processes may make at any time; often none."""
    usable = usable_limit(limit)
    return int(SHARED_OUT * usable / processes) if usable >= LEAST_USABLE else 0


def has_shares(windows: Sequence[Window], processes: int) -> bool:
    """Accounts with a daily or monthly budget, or a small limit, have none."""
    return all(
        window.period_s <= LONGEST_LOG_S and share_of(window.limit, processes) > 0
        for window in windows
    )


@dataclass(slots=True)
class ClusterLimits:
    """How the processes of a cluster share the limits.

    `leads`: this process may use the pool. `has_share`: otherwise it may use its share. `processes`
    is the largest number of processes, `worker` the number of this one on its machine.
    """

    leads: Callable[[], bool]
    has_share: Callable[[], bool]
    processes: int
    worker: int
    #: Calls that this process made within its share, for the metrics.
    share_calls: int = field(default=0, init=False)

    @property
    def prefix(self) -> str:
        """Before the names of the windows of this process's share, where they are stored."""
        return f"share-{self.worker}/"

    @property
    def mark(self) -> str:
        """The window that shows that the calls of this process's share are stored."""
        return f"cluster/{self.prefix}known"


class ClusterGuard:
    """As a RateLimitGuard, over the pool while this process leads, else over its share, if any.

    A call is settled where it was reserved, whoever leads by then.
    """

    def __init__(
        self,
        clock: Clock,
        windows: Sequence[Window],
        history: Callable[[str], UsageHistory],
        shared: ClusterLimits,
        *,
        share_is_known: bool,
        late_s: int = COUNTED_LATE_S,
        pass_through_part: float = 0.0,
    ) -> None:
        """Unless the calls of the share are known from before the start, its windows begin used
        up."""
        self._clock = clock
        self._shared = shared
        self._leads = shared.leads
        self._has_share = shared.has_share
        self._prefix = shared.prefix
        processes = shared.processes
        numbers = count(1)
        shared_out = has_shares(windows, processes)
        self._share_of = share = partial(share_of, processes=processes)

        def usable_of_pool(limit: int) -> int:
            return usable_limit(limit) - (processes * share(limit) if shared_out else 0)

        self._pool = RateLimitGuard(
            clock,
            windows,
            history,
            usable_of=usable_of_pool,
            numbers=numbers,
            late_s=late_s,
            pass_through_part=pass_through_part,
        )
        self._share = (
            RateLimitGuard(
                clock,
                windows,
                lambda window: history(self._prefix + window),
                usable_of=share,
                numbers=numbers,
                late_s=late_s,
            )
            if shared_out
            else None
        )
        if self._share and not share_is_known:
            self._share.assume_short_used()
        self._owners: dict[int, RateLimitGuard] = {}

    def __repr__(self) -> str:
        return f"<ClusterGuard {'pool' if self._leads() else 'share'} {self._in_use!r}>"

    @property
    def pool(self) -> RateLimitGuard:
        """The part that only the leader uses."""
        return self._pool

    def check(self, cost: Cost, priority: Priority = Priority.SHARED) -> Refused | None:
        guard = self._in_use
        return self._nothing_to_share() if guard is None else guard.check(cost, priority)

    def allows_hedging(self, cost: Cost) -> bool:
        """A share has nothing to waste."""
        return self._leads() and self._pool.allows_hedging(cost)

    def budget_wait_s(self, cost: Cost, priority: Priority = Priority.SHARED) -> float:
        return self._pool.budget_wait_s(cost, priority)

    def interval_s(self, cost: Cost, priority: Priority = Priority.SHARED) -> float:
        return self._pool.interval_s(cost, priority)

    @property
    def passed_part(self) -> float:
        return self._pool.passed_part

    def try_acquire(self, cost: Cost, priority: Priority = Priority.SHARED) -> Permit | Refused:
        guard = self._in_use
        if guard is None:
            return self._nothing_to_share()
        permit = guard.try_acquire(cost, priority)
        if isinstance(permit, Permit):
            self._owners[permit.number] = guard
        return permit

    def settle(self, permit: Permit, *, was_sent: bool, may_have_succeeded: bool) -> None:
        guard = self._owners.pop(permit.number)
        guard.settle(permit, was_sent=was_sent, may_have_succeeded=may_have_succeeded)
        if was_sent and guard is self._share:
            self._shared.share_calls += 1

    def observe(self, headers: Mapping[str, str]) -> None:
        """The provider's own count is that of all processes, which a share cannot be compared
        with."""
        if self._leads():
            self._pool.observe(headers)

    def learn(self) -> None:
        if guard := self._in_use:
            guard.learn()

    def redeclare(self, limits: AccountLimits, *, keeps_limits: bool) -> None:
        self._pool.redeclare(limits, keeps_limits=keeps_limits)

    def unsaved(self) -> dict[tuple[str, int], int]:
        """Corrections of the pool's calls are left out while another leads: the store has counted
        these calls, so that it counts too many at most. A call that was reserved just before the
        lease ended is not left out, as the store must refuse it."""
        share = self._share.unsaved() if self._share else {}
        pool = self._pool.unsaved()
        named = {(self._prefix + window, tick): n for (window, tick), n in share.items()}
        return named | (pool if self._leads() else {key: n for key, n in pool.items() if n >= 0})

    def headroom(self) -> float:
        guard = self._in_use
        return 0.0 if guard is None else guard.headroom()

    def quotas(self) -> tuple[Quota, ...]:
        """Of what this process may use now: a share is its limit, and without one nothing is left
        for it."""
        quotas, share = (self._in_use or self._pool).quotas(), self._share_of
        if self._in_use is self._pool:
            return quotas
        if self._in_use is None:
            return tuple(replace(quota, remaining=0) for quota in quotas)
        return tuple(
            replace(quota, limit=most, remaining=max(0, most - quota.used))
            for quota in quotas
            for most in [share(quota.limit)]
        )

    @property
    def _in_use(self) -> RateLimitGuard | None:
        if self._leads():
            return self._pool
        return self._share if self._has_share() else None

    def _nothing_to_share(self) -> Refused:
        detail = "only the leader of the cluster calls it"
        return Refused("cluster", self._clock.monotonic() + RETRY_S, detail)
