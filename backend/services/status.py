"""What the gateway knows of itself: providers, categories, choices, cache. Asks nobody."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from backend import __version__
from backend.clock import Clock
from backend.events import ProviderChosen
from backend.models.answer import Answer, Query
from backend.models.status import ProviderStatus
from backend.models.ticks import TickStatus

Health = Literal["ok", "degraded", "down"]


class ProviderView(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def is_configured(self) -> bool: ...
    @property
    def is_usable(self) -> bool: ...
    def status(self) -> ProviderStatus: ...


class HistoryView(Protocol):
    @property
    def choices(self) -> tuple[ProviderChosen, ...]: ...


class ManagerView(Protocol):
    def chain(self, category: str) -> Sequence[ProviderView]: ...
    def standing(self, query: Query[Any]) -> Sequence[ProviderView]: ...


class CountersView(Protocol):
    hits: int
    misses: int
    stale_served: int


class CacheView(Protocol):
    """A category's cached source."""

    @property
    def counters(self) -> CountersView: ...
    @property
    def newest(self) -> Answer[Any] | None: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class CategoryStatus:
    """One category now. `providers` could answer its plainest question, best tier first;

    `age_seconds` and `next_refresh_at` are of its newest answer.
    """

    status: Health
    providers: tuple[str, ...]
    fresh: bool
    age_seconds: float | None
    next_refresh_at: datetime | None


@dataclass(frozen=True, slots=True)
class CacheStatus:
    entries: int
    hits: int
    misses: int
    stale_served: int


@dataclass(frozen=True, slots=True)
class WebSocketStatus:
    """The stream's counters: readers now, frames sent to them, frames that lagging ones missed."""

    clients: int = 0
    messages_sent: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """`/api/status`."""

    status: Health
    version: str
    uptime_seconds: float
    categories: Mapping[str, CategoryStatus]
    providers: tuple[ProviderStatus, ...]
    rotation: tuple[ProviderChosen, ...]
    cache: CacheStatus
    websocket: WebSocketStatus
    ticks: TickStatus | None


class StatusService:
    def __init__(
        self,
        manager: ManagerView,
        history: HistoryView,
        caches: Mapping[str, CacheView],
        plain: Mapping[str, Query[Any]],
        *,
        ticks: Callable[[], TickStatus | None],
        clock: Clock,
    ) -> None:
        """`caches` and `plain`, the plainest question to its providers, are by category."""
        self._ticks = ticks
        self._manager = manager
        self._plain = plain
        self._history = history
        self._caches = caches
        self._clock = clock
        self._began = clock.monotonic()

    def overview(self, websocket: WebSocketStatus) -> GatewayStatus:
        """Everything, from memory; of its stream the HTTP floor tells itself."""
        categories = {name: self._category(name) for name in self._caches}
        providers = {p.name: p for name in self._caches for p in self._manager.chain(name)}
        return GatewayStatus(
            status=_overall([category.status for category in categories.values()]),
            version=__version__,
            uptime_seconds=round(self._clock.monotonic() - self._began, 3),
            categories=categories,
            providers=tuple(provider.status() for provider in providers.values()),
            rotation=self._history.choices,
            cache=self._cache(),
            websocket=websocket,
            ticks=self._ticks(),
        )

    def is_ready(self) -> bool:
        """True when market data can be answered: somebody is usable, or the cache is warm."""
        is_warm = self._caches["market"].newest is not None
        return is_warm or any(p.is_usable for p in self._manager.chain("market"))

    def _category(self, name: str) -> CategoryStatus:
        chain, newest = self._manager.chain(name), self._caches[name].newest
        usable = [provider for provider in chain if provider.is_usable]
        configured = [provider for provider in chain if provider.is_configured]
        health: Health = "ok"
        if not usable and newest is None:
            health = "down"
        elif len(usable) < len(configured) or not usable or (newest and newest.stale):
            health = "degraded"
        now = self._clock.now()
        return CategoryStatus(
            status=health,
            providers=tuple(p.name for p in self._manager.standing(self._plain[name])),
            fresh=newest is not None and newest.ttl_left_s > 0 and not newest.stale,
            age_seconds=round(newest.age_s, 3) if newest else None,
            next_refresh_at=now + timedelta(seconds=newest.ttl_left_s) if newest else None,
        )

    def _cache(self) -> CacheStatus:
        caches = self._caches.values()
        return CacheStatus(
            entries=sum(len(cache) for cache in caches),
            hits=sum(cache.counters.hits for cache in caches),
            misses=sum(cache.counters.misses for cache in caches),
            stale_served=sum(cache.counters.stale_served for cache in caches),
        )


def _overall(healths: Sequence[Health]) -> Health:
    if all(health == "down" for health in healths):
        return "down"
    return "ok" if all(health == "ok" for health in healths) else "degraded"
