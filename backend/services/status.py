"""What the gateway knows of itself: providers, categories, choices, cache. Asks nobody."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from backend import __version__
from backend.clock import Clock
from backend.errors import InvalidParameter
from backend.events import ProviderChosen
from backend.models.answer import Answer, Query
from backend.models.status import ProviderStatus, Refusal, Spread
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


class ChoiceView(Protocol):
    @property
    def provider(self) -> ProviderView: ...
    @property
    def reason(self) -> str: ...


class ManagerView(Protocol):
    def chain(self, category: str) -> Sequence[ProviderView]: ...
    def eligible(self, query: Query[Any]) -> Sequence[ProviderView]: ...
    def refresh_interval_s(self, query: Query[Any]) -> float: ...
    def explain(self, query: Query[Any]) -> tuple[ChoiceView | None, tuple[Refusal, ...]]: ...


class CountersView(Protocol):
    @property
    def hits(self) -> int: ...
    @property
    def misses(self) -> int: ...
    @property
    def stale_served(self) -> int: ...


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

    `age_seconds` and `next_refresh_at` are of its newest answer. `ttl_effective_seconds`: how
    often it can be refreshed for ever, where budgets stretch that beyond the setting `ttl_note`
    says so in words.
    """

    status: Health
    providers: tuple[str, ...]
    fresh: bool
    age_seconds: float | None
    next_refresh_at: datetime | None
    ttl_effective_seconds: float
    ttl_note: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """`/api/status/explain`: whom the manager would choose now for the plainest question."""

    category: str
    chosen: str | None
    reason: str
    passed_over: tuple[Refusal, ...]


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
    """`/api/status`. `spread` is null until two providers told of the same coins at one time."""

    status: Health
    version: str
    uptime_seconds: float
    categories: Mapping[str, CategoryStatus]
    providers: tuple[ProviderStatus, ...]
    rotation: tuple[ProviderChosen, ...]
    cache: CacheStatus
    websocket: WebSocketStatus
    ticks: TickStatus | None
    spread: Spread | None = None


class StatusService:
    def __init__(
        self,
        manager: ManagerView,
        history: HistoryView,
        caches: Mapping[str, CacheView],
        plain: Mapping[str, Query[Any]],
        *,
        ttls: Mapping[str, float],
        ticks: Callable[[], TickStatus | None],
        clock: Clock,
        spread: Callable[[], Spread | None] = lambda: None,
    ) -> None:
        """`caches`, `plain`, the plainest question to its providers, and `ttls`, the settings'
        seconds of freshness, are by category."""
        self._ttls = ttls
        self._ticks = ticks
        self._spread = spread
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
            spread=self._spread(),
        )

    def explain(self, category: str) -> Explanation:
        """Raises InvalidParameter on a category that there is not."""
        if category not in self._caches:
            raise InvalidParameter("category", "is none of ours", tuple(self._caches))
        choice, passed = self._manager.explain(self._plain[category])
        if choice is None:
            return Explanation(category, None, "no provider is eligible", passed)
        return Explanation(category, choice.provider.name, choice.reason, passed)

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
        now, wanted_s = self._clock.now(), self._ttls[name]
        affordable_s = self._manager.refresh_interval_s(self._plain[name])
        return CategoryStatus(
            status=health,
            providers=tuple(p.name for p in self._manager.eligible(self._plain[name])),
            fresh=newest is not None and newest.ttl_left_s > 0 and not newest.stale,
            age_seconds=round(newest.age_s, 3) if newest else None,
            next_refresh_at=now + timedelta(seconds=newest.ttl_left_s) if newest else None,
            ttl_effective_seconds=round(max(wanted_s, affordable_s), 1),
            ttl_note=_in_words(usable, wanted_s, affordable_s),
        )

    def _cache(self) -> CacheStatus:
        caches = self._caches.values()
        return CacheStatus(
            entries=sum(len(cache) for cache in caches),
            hits=sum(cache.counters.hits for cache in caches),
            misses=sum(cache.counters.misses for cache in caches),
            stale_served=sum(cache.counters.stale_served for cache in caches),
        )


def _in_words(usable: Sequence[ProviderView], wanted_s: float, affordable_s: float) -> str | None:
    """What would be needed where the budgets don't afford what the settings want."""
    if affordable_s <= wanted_s:
        return None
    names, keys = ", ".join(provider.name for provider in usable), affordable_s / wanted_s
    return (
        f"{names} can afford a refresh each {affordable_s:.0f} s, the setting wants one each "
        f"{wanted_s:g} s: that takes a plan {keys:.1f} times as large, as many more keys of other "
        "accounts, or a provider without a day's or month's limit"
    )


def _overall(healths: Sequence[Health]) -> Health:
    if all(health == "down" for health in healths):
        return "down"
    return "ok" if all(health == "ok" for health in healths) else "degraded"
