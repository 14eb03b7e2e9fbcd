"""What stands at the moment of a scrape: providers, quotas, caches, ticks. Asks nobody."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from backend.models.status import ProviderState, ProviderStatus, Quota
from backend.models.ticks import TICK_STATES, TickStatus
from backend.observability.families import Labels, counter, gauge, one_of


class CategoryView(Protocol):
    @property
    def age_seconds(self) -> float | None: ...


class StatusView(Protocol):
    """What `/api/status` tells."""

    @property
    def categories(self) -> Mapping[str, CategoryView]: ...
    @property
    def providers(self) -> Sequence[ProviderStatus]: ...
    @property
    def ticks(self) -> TickStatus | None: ...


class CountersView(Protocol):
    @property
    def hits(self) -> int: ...
    @property
    def misses(self) -> int: ...
    @property
    def joined(self) -> int: ...
    @property
    def stale_by_reason(self) -> Mapping[str, int]: ...


class CacheView(Protocol):
    """A category's cached source."""

    @property
    def counters(self) -> CountersView: ...


class StatusReadings(Collector):
    """Providers' states and quotas, the ages of answers, the tick feed."""

    def __init__(self, read: Callable[[], StatusView]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        status = self._read()
        yield gauge(
            "provider_state",
            "1 for the state that a provider is in, 0 for all others.",
            ("provider", "state"),
            one_of(
                ProviderState, {provider.name: provider.status for provider in status.providers}
            ),
        )
        yield from _quotas(status.providers)
        ages = {name: category.age_seconds for name, category in status.categories.items()}
        yield gauge(
            "answer_age_seconds",
            "Age of a category's newest answer, as long as it may still be served.",
            ("category",),
            {(name,): age_s for name, age_s in ages.items() if age_s is not None},
        )
        yield gauge(
            "tick_feed_state",
            "1 for the state that a venue's push connection is in, 0 for all others.",
            ("provider", "state"),
            one_of(
                TICK_STATES, {status.ticks.provider: status.ticks.state} if status.ticks else {}
            ),
        )


class CacheReadings(Collector):
    """The counters of the cached sources, by category."""

    def __init__(self, caches: Mapping[str, CacheView]) -> None:
        self._caches = caches

    def collect(self) -> Iterable[Metric]:
        counters = {name: cache.counters for name, cache in self._caches.items()}
        yield counter(
            "cache_hits",
            "Fresh answers given from the cache, to clients and to the gateway's own parts.",
            ("category",),
            {(name,): counted.hits for name, counted in counters.items()},
        )
        yield counter(
            "cache_misses",
            "Questions that waited for a provider's answer.",
            ("category",),
            {(name,): counted.misses for name, counted in counters.items()},
        )
        yield counter(
            "readers_joined",
            "Readers who waited for a refresh that another one had begun.",
            ("category",),
            {(name,): counted.joined for name, counted in counters.items()},
        )
        yield counter(
            "stale_answers",
            "Answers given past their time, by the reason why nothing fresh was had.",
            ("category", "reason"),
            {
                (name, reason): times
                for name, counted in counters.items()
                for reason, times in counted.stale_by_reason.items()
            },
        )


def _quotas(providers: Iterable[ProviderStatus]) -> Iterable[Metric]:
    """Of windows of the same length (calls and weight, say) the one that is nearer to its end."""
    tightest: dict[Labels, Quota] = {}
    for provider in providers:
        for quota in sorted(provider.quotas, key=lambda quota: quota.used / quota.limit):
            tightest[provider.name, quota.window] = quota
    names = ("provider", "window")
    used = {labels: quota.used for labels, quota in tightest.items()}
    limits = {labels: quota.limit for labels, quota in tightest.items()}
    yield gauge("provider_quota_used", "Of a rate limit's window, what is used now.", names, used)
    yield gauge("provider_quota_limit", "What a rate limit's window allows.", names, limits)
