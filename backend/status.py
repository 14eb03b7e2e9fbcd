"""The state of the gateway: providers, categories, choices and caches. Makes no upstream call."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from datetime import timedelta
from typing import Any

from backend import __version__
from backend.cache.cached_source import CachedSource
from backend.categories import CATEGORIES
from backend.clock import Clock
from backend.cluster.contract import Cluster, ClusterState
from backend.cluster.status_exchange import StatusExchange
from backend.errors import InvalidParameter
from backend.events import Event
from backend.models.answer import Answer
from backend.models.cluster import SINGLE, ClusterStatus, MemberStatus
from backend.models.status import (
    CacheStatus,
    CategoryStatus,
    Explanation,
    GatewayStatus,
    Health,
    LeaderStatus,
    ProviderChosen,
    ProviderStatus,
    Quota,
    Spread,
    WebSocketStatus,
)
from backend.models.ticks import TickStatus
from backend.orchestration.provider import Provider
from backend.orchestration.provider_manager import ProviderManager
from backend.settings import Settings

#: Choices of providers that `/api/status` shows.
MOST_CHOICES = 50


class RotationHistory:
    """The event sink that keeps the last choices of providers, the newest at the end, and counts
    all events."""

    def __init__(self) -> None:
        self.choices = deque[ProviderChosen](maxlen=MOST_CHOICES)
        self.events = 0

    def __repr__(self) -> str:
        return f"<RotationHistory {len(self.choices)}>"

    def __call__(self, event: Event) -> None:
        self.events += 1
        if isinstance(event, ProviderChosen):
            self.choices.append(event)


@dataclass(eq=False, repr=False)
class StatusService:
    """Builds the documents of `/api/status`, `/api/status/explain` and `/readyz` from memory.

    `caches` are by category. `run` tells the other processes of a cluster what this one would
    show while it leads.
    """

    manager: ProviderManager
    history: RotationHistory
    caches: Mapping[str, CachedSource[Any, Any]]
    _: KW_ONLY
    settings: Settings
    ticks: Callable[[], TickStatus | None]
    clock: Clock
    spread: Callable[[], Spread | None]
    cluster: Cluster

    def __post_init__(self) -> None:
        #: What the processes of a cluster tell each other.
        self.exchange = StatusExchange(self.cluster, self.clock)
        self._began = self.clock.monotonic()
        #: Without the categories that only serve the routes of others.
        self._listed = tuple(name for name in self.caches if name in CATEGORIES)

    async def run(self) -> None:
        """Tells the others until it is cancelled."""
        await self.exchange.run(self.to_tell)

    def overview(self, websocket: WebSocketStatus) -> GatewayStatus:
        """The full status; the API passes in the counters of its stream. A follower shows the
        leader's providers, and what it would serve itself."""
        own, leader = self.own(websocket), self.exchange.newest
        if leader is None:
            return own
        categories = {
            name: self._at_follower(name, category, leader.categories.get(name))
            for name, category in own.categories.items()
        }
        return replace(
            own,
            status=_health_of(categories),
            categories=categories,
            providers=leader.providers,
            rotation=leader.rotation,
            ticks=leader.ticks,
            spread=leader.spread,
        )

    def own(self, websocket: WebSocketStatus) -> GatewayStatus:
        """The full status of this process, whoever leads."""
        categories = {name: self._category(name) for name in self._listed}
        providers = {p.name: p for name in self.caches for p in self.manager.chain(name)}
        counters = [cache.counters for cache in self.caches.values()]
        return GatewayStatus(
            status=_health_of(categories),
            version=__version__,
            uptime_seconds=round(self.clock.monotonic() - self._began, 3),
            categories=categories,
            providers=tuple(provider.status() for provider in providers.values()),
            rotation=tuple(self.history.choices),
            cache=CacheStatus(
                entries=sum(len(cache) for cache in self.caches.values()),
                hits=sum(counted.hits for counted in counters),
                misses=sum(counted.misses for counted in counters),
                stale_served=sum(counted.stale_served for counted in counters),
            ),
            websocket=websocket,
            ticks=self.ticks(),
            spread=self.spread(),
            cluster=cluster_status(self.cluster.state()),
        )

    def quota(self, provider: str, window: str) -> Quota | None:
        """The usage of a rate-limit window (`minute`); None for a provider that is off. A follower
        has the leader's, which is up to 2 s old."""
        leader = self.exchange.newest
        known: Iterable[Provider | ProviderStatus]
        known = leader.providers if leader else self.manager.providers
        quotas = next((one.quotas for one in known if one.name == provider), ())
        return next((quota for quota in quotas if quota.window == window), None)

    def explain(self, category: str) -> Explanation:
        """Raises InvalidParameter if the category is unknown. A follower has the leader's answer,
        which is up to 2 s old."""
        if category not in self._listed:
            raise InvalidParameter("category", "unknown", self._listed)
        leader = self.exchange.newest
        explained = leader.explanations.get(category) if leader else None
        return explained or self._explain(category)

    def to_tell(self) -> LeaderStatus:
        """What followers show of this process."""
        own = self.own(WebSocketStatus())
        return LeaderStatus(
            own.categories,
            own.providers,
            own.rotation,
            {name: self._explain(name) for name in self._listed},
            own.ticks,
            own.spread,
        )

    def _explain(self, category: str) -> Explanation:
        choice, refusals = self.manager.explain(CATEGORIES[category].provider_query)
        if choice is None:
            return Explanation(category, None, "no provider is eligible", refusals)
        return Explanation(category, choice.provider.name, choice.reason, refusals)

    def is_ready(self) -> bool:
        """True if market data can be answered: a provider is usable, or the cache has an answer.
        A process that is excluded from its cluster calls nobody."""
        if self.caches["market"].newest is not None:
            return True
        may_call = self.cluster.state().role != "excluded"
        return may_call and any(p.is_usable for p in self.manager.chain("market"))

    def max_stale_s(self, category: str) -> float:
        """The highest age at which data of this category are shown, in seconds."""
        return CATEGORIES[category].default_freshness(self.settings).max_stale_s

    def _newest(self, name: str) -> Answer[Any] | None:
        shown, cache = CATEGORIES[name].status_query, self.caches[name]
        return cache.newest_to(shown) if shown else cache.newest

    def _at_follower(
        self, name: str, own: CategoryStatus, leader: CategoryStatus | None
    ) -> CategoryStatus:
        """The leader's providers and times, and the age of what this process would serve."""
        if leader is None:  # of another version
            return own
        newest, health = self._newest(name), leader.status
        if newest and (newest.stale or health == "down"):
            health = "degraded"
        return replace(
            leader,
            status=health,
            fresh=own.fresh,
            age_seconds=own.age_seconds,
            next_refresh_at=leader.next_refresh_at or own.next_refresh_at,
        )

    def _category(self, name: str) -> CategoryStatus:
        category, query = CATEGORIES[name], CATEGORIES[name].provider_query
        newest = self._newest(name)
        chain = [p for p in self.manager.chain(name) if p.has_operation_for(query)]
        usable = [provider for provider in chain if provider.is_usable]
        configured = [provider for provider in chain if provider.is_configured]
        health: Health = "ok"
        if not usable and newest is None:
            health = "down"
        elif len(usable) < len(configured) or not usable or (newest and newest.stale):
            health = "degraded"
        now, freshness = self.clock.now(), category.default_freshness(self.settings)
        wanted_s = freshness.ttl_s
        affordable_s = self.manager.refresh_interval_s(query)
        return CategoryStatus(
            status=health,
            providers=tuple(p.name for p in self.manager.eligible(query)),
            fresh=newest is not None and newest.ttl_left_s > 0 and not newest.stale,
            age_seconds=round(newest.age_s, 3) if newest else None,
            next_refresh_at=now + timedelta(seconds=newest.ttl_left_s) if newest else None,
            ttl_effective_seconds=round(max(wanted_s, affordable_s), 1),
            ttl_note=_ttl_note(usable, wanted_s, affordable_s),
            max_stale_seconds=freshness.max_stale_s,
        )


def cluster_status(state: ClusterState) -> ClusterStatus:
    """The part of `/api/status` about the cluster."""
    if state.role == "single":
        return SINGLE
    members = (
        MemberStatus(
            one.name,
            one.role,
            one.readers,
            one.version,
            round(max(0.0, state.store_s - one.seen_at), 1),
        )
        for one in state.members
    )
    return ClusterStatus(
        state.role,
        state.name,
        state.process,
        state.size,
        state.leader,
        state.term,
        "up" if state.is_connected else "down",
        state.reason,
        state.since,
        tuple(members),
    )


def _health_of(categories: Mapping[str, CategoryStatus]) -> Health:
    healths = {category.status for category in categories.values()}
    return healths.pop() if len(healths) == 1 else "degraded"


def _ttl_note(usable: Sequence[Provider], wanted_s: float, affordable_s: float) -> str | None:
    """What it takes to reach the freshness that the settings ask for; None if it is reached."""
    if affordable_s <= wanted_s:
        return None
    names, times = ", ".join(provider.name for provider in usable), affordable_s / wanted_s
    return (
        f"the budget of {names} allows one refresh per {affordable_s:.0f} s, the setting asks for "
        f"one per {wanted_s:g} s: that takes a plan {times:.1f} times as large, as many more keys "
        "of different accounts, or a provider without a daily or monthly limit"
    )
