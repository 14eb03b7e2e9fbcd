"""The state of the gateway: providers, categories, choices and caches. Makes no upstream call."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import Any

from backend import __version__
from backend.cache.cached_source import CachedSource
from backend.categories import CATEGORIES
from backend.clock import Clock
from backend.errors import InvalidParameter
from backend.events import Event
from backend.models.status import (
    CacheStatus,
    CategoryStatus,
    Explanation,
    GatewayStatus,
    Health,
    ProviderChosen,
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
    """The event sink that keeps the last choices of providers, the newest at the end."""

    def __init__(self) -> None:
        self.choices = deque[ProviderChosen](maxlen=MOST_CHOICES)

    def __repr__(self) -> str:
        return f"<RotationHistory {len(self.choices)}>"

    def __call__(self, event: Event) -> None:
        if isinstance(event, ProviderChosen):
            self.choices.append(event)


@dataclass(eq=False, repr=False)
class StatusService:
    """Builds the documents of `/api/status`, `/api/status/explain` and `/readyz` from memory.

    `caches` are by category.
    """

    manager: ProviderManager
    history: RotationHistory
    caches: Mapping[str, CachedSource[Any, Any]]
    _: KW_ONLY
    settings: Settings
    ticks: Callable[[], TickStatus | None]
    clock: Clock
    spread: Callable[[], Spread | None]

    def __post_init__(self) -> None:
        self._began = self.clock.monotonic()
        #: Without the categories that only serve the routes of others.
        self._listed = tuple(name for name in self.caches if name in CATEGORIES)

    def overview(self, websocket: WebSocketStatus) -> GatewayStatus:
        """The full status; the API passes in the counters of its stream."""
        categories = {name: self._category(name) for name in self._listed}
        providers = {p.name: p for name in self.caches for p in self.manager.chain(name)}
        counters = [cache.counters for cache in self.caches.values()]
        healths = {category.status for category in categories.values()}
        return GatewayStatus(
            status=healths.pop() if len(healths) == 1 else "degraded",
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
        )

    def explain(self, category: str) -> Explanation:
        """Raises InvalidParameter if the category is unknown."""
        if category not in self._listed:
            raise InvalidParameter("category", "unknown", self._listed)
        choice, refusals = self.manager.explain(CATEGORIES[category].provider_query)
        if choice is None:
            return Explanation(category, None, "no provider is eligible", refusals)
        return Explanation(category, choice.provider.name, choice.reason, refusals)

    def is_ready(self) -> bool:
        """True if market data can be answered: a provider is usable, or the cache has an answer."""
        is_warm = self.caches["market"].newest is not None
        return is_warm or any(p.is_usable for p in self.manager.chain("market"))

    def _category(self, name: str) -> CategoryStatus:
        category, cache = CATEGORIES[name], self.caches[name]
        shown, query = category.status_query, category.provider_query
        newest = cache.newest_to(shown) if shown else cache.newest
        chain = [p for p in self.manager.chain(name) if p.has_operation_for(query)]
        usable = [provider for provider in chain if provider.is_usable]
        configured = [provider for provider in chain if provider.is_configured]
        health: Health = "ok"
        if not usable and newest is None:
            health = "down"
        elif len(usable) < len(configured) or not usable or (newest and newest.stale):
            health = "degraded"
        now, wanted_s = self.clock.now(), category.default_freshness(self.settings).ttl_s
        affordable_s = self.manager.refresh_interval_s(query)
        return CategoryStatus(
            status=health,
            providers=tuple(p.name for p in self.manager.eligible(query)),
            fresh=newest is not None and newest.ttl_left_s > 0 and not newest.stale,
            age_seconds=round(newest.age_s, 3) if newest else None,
            next_refresh_at=now + timedelta(seconds=newest.ttl_left_s) if newest else None,
            ttl_effective_seconds=round(max(wanted_s, affordable_s), 1),
            ttl_note=_ttl_note(usable, wanted_s, affordable_s),
        )


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
