"""Metrics that are read at each scrape: providers, quotas, caches, ticks. No upstream calls."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from backend.models.answer import CacheCounters
from backend.models.status import GatewayStatus, ProviderState, ProviderStatus, Quota
from backend.models.ticks import TICK_STATES
from backend.observability.families import Labels, counter, gauge, one_hot

#: Name, help and the field of CacheCounters.
CACHE_COUNTERS = (
    (
        "cache_hits",
        "Fresh answers served from the cache, to clients and inside the gateway.",
        "hits",
    ),
    ("cache_misses", "Queries that waited for a provider's answer.", "misses"),
    (
        "readers_joined",
        "Readers that waited for a refresh which another reader had started.",
        "joined",
    ),
)


class StatusReadings(Collector):
    """Provider states and quotas, the ages of answers, the tick feed."""

    def __init__(self, read: Callable[[], GatewayStatus]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        status = self._read()
        yield gauge(
            "provider_state",
            "1 for the current state of a provider, 0 for all others.",
            ("provider", "state"),
            one_hot(ProviderState, {each.name: each.status for each in status.providers}),
        )
        yield from _quotas(status.providers)
        ages = {name: category.age_seconds for name, category in status.categories.items()}
        yield gauge(
            "answer_age_seconds",
            "Age of a category's newest answer, as long as it may be served.",
            ("category",),
            {(name,): age_s for name, age_s in ages.items() if age_s is not None},
        )
        feeds = {status.ticks.provider: status.ticks.state} if status.ticks else {}
        yield gauge(
            "tick_feed_state",
            "1 for the current state of a venue's push connection, 0 for all others.",
            ("provider", "state"),
            one_hot(TICK_STATES, feeds),
        )


class CacheReadings(Collector):
    """The counters of the cached sources, by category."""

    def __init__(self, counters: Mapping[str, CacheCounters]) -> None:
        self._counters = counters

    def collect(self) -> Iterable[Metric]:
        for name, help_text, field in CACHE_COUNTERS:
            counts = self._counters.items()
            values: dict[Labels, float] = {(of,): getattr(each, field) for of, each in counts}
            yield counter(name, help_text, ("category",), values)
        yield counter(
            "stale_answers",
            "Answers served after their expiry, by the reason why there was no fresh one.",
            ("category", "reason"),
            {
                (name, reason): times
                for name, counted in self._counters.items()
                for reason, times in counted.stale_by_reason.items()
            },
        )


def _quotas(providers: Iterable[ProviderStatus]) -> Iterable[Metric]:
    """Of several windows of the same length (calls and weight, say) the fullest one."""
    fullest: dict[Labels, Quota] = {}
    for provider in providers:
        for quota in sorted(provider.quotas, key=lambda quota: quota.used / quota.limit):
            fullest[provider.name, quota.window] = quota
    names = ("provider", "window")
    used = {labels: quota.used for labels, quota in fullest.items()}
    limits = {labels: quota.limit for labels, quota in fullest.items()}
    yield gauge("provider_quota_used", "Current usage of a rate-limit window.", names, used)
    yield gauge("provider_quota_limit", "Limit of a rate-limit window.", names, limits)
