"""Prometheus metrics: counters of events, and readings at each scrape. No upstream calls.

A label never holds a text of a client or a provider.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from backend.events import (
    CallRetried,
    Event,
    ProviderCalled,
    RawStreamsChanged,
    RefreshFailing,
    TickFeedChanged,
)
from backend.models.answer import CacheCounters
from backend.models.status import (
    GatewayStatus,
    ProviderChosen,
    ProviderState,
    ProviderStatus,
    Quota,
    Refusal,
)
from backend.models.ticks import TICK_STATES

#: Upper bounds of the latency buckets, in seconds; calls above the last one ran into a timeout.
BOUNDS_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0)
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

#: The values of a family's labels, in the order of their names.
Labels = tuple[str, ...]
Family = TypeVar("Family", CounterMetricFamily, GaugeMetricFamily)

# Else each counter has a second series with the time of its creation.
disable_created_metrics()  # type: ignore[no-untyped-call]


class EventMetrics:
    """The event sink of the metrics. Labels are our own names and reasons, so series are few.

    `registry` also has the process's memory, CPU and open files; other collectors may join it.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(namespace="gateway", registry=self.registry)
        new_counter = partial(Counter, namespace="gateway", registry=self.registry)
        self._calls = Histogram(
            "gateway_provider_call_seconds",
            "Duration of provider attempts; outcome is ok or the reason of the failure.",
            ("provider", "category", "outcome"),
            buckets=BOUNDS_S,
            registry=self.registry,
        )
        self._passed_over = new_counter(
            "provider_passed_over",
            "Choices in which a provider was passed over, by reason and by limit.",
            ("provider", "reason", "window"),
        )
        self._retries = new_counter(
            "call_retries",
            "Failed calls inside an attempt that continued, by the way it continued.",
            ("provider", "reason", "how"),
        )
        self._outages = new_counter(
            "refresh_outages",
            "Queries whose refreshes began to fail, by the reason of the first failure.",
            ("category", "reason"),
        )
        losses = ("provider", "reason")
        self._losses = {
            TickFeedChanged: new_counter(
                "tick_feed_falls", "Losses of a venue's push connection.", losses
            ),
            RawStreamsChanged: new_counter(
                "raw_stream_falls", "Losses of the connection to a venue's raw streams.", losses
            ),
        }
        self._last_passed_over: tuple[Refusal, ...] = ()

    def __call__(self, event: Event) -> None:
        match event:
            case ProviderChosen():
                # Providers that are called together share one tuple: it counts once.
                if event.passed_over is not self._last_passed_over:
                    for each in event.passed_over:
                        labels = (each.provider, each.reason, each.window or "")
                        self._passed_over.labels(*labels).inc()
                self._last_passed_over = event.passed_over
            case ProviderCalled():
                labels = (event.provider, event.category, event.outcome)
                self._calls.labels(*labels).observe(event.latency_ms / 1000)
            case CallRetried():
                self._retries.labels(event.provider, event.reason, event.how).inc()
            case RefreshFailing(reason=str(reason)):
                self._outages.labels(event.category, reason).inc()
            case TickFeedChanged(reason=str(reason)) | RawStreamsChanged(reason=str(reason)):
                self._losses[type(event)].labels(event.provider, reason).inc()


class Readings(Collector):
    """Provider states and quotas, ages of answers, the tick feed, the caches' counters."""

    def __init__(
        self, read: Callable[[], GatewayStatus], counters: Mapping[str, CacheCounters]
    ) -> None:
        """`counters` are by category."""
        self._read = read
        self._counters = counters

    def collect(self) -> Iterable[Metric]:
        status = self._read()
        yield _state_gauge(
            "provider_state",
            "1 for the current state of a provider, 0 for all others.",
            ProviderState,
            {each.name: each.status for each in status.providers},
        )
        yield from _quotas(status.providers)
        ages = {name: category.age_seconds for name, category in status.categories.items()}
        yield gauge(
            "answer_age_seconds",
            "Age of a category's newest answer, as long as it may be served.",
            ("category",),
            {(name,): age_s for name, age_s in ages.items() if age_s is not None},
        )
        yield _state_gauge(
            "tick_feed_state",
            "1 for the current state of a venue's push connection, 0 for all others.",
            TICK_STATES,
            {status.ticks.provider: status.ticks.state} if status.ticks else {},
        )
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


def _state_gauge(
    name: str, help_text: str, states: Iterable[str], current: Mapping[str, str]
) -> Metric:
    """`current` is the state of each provider."""
    return gauge(
        name,
        help_text,
        ("provider", "state"),
        {(of, each): float(each == now) for of, now in current.items() for each in states},
    )


def _family(
    kind: type[Family],
    name: str,
    help_text: str,
    labels: Sequence[str],
    values: Mapping[Labels, float],
) -> Family:
    """`name` comes without `gateway_` and `_total`."""
    family = kind(f"gateway_{name}", help_text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


counter = partial(_family, CounterMetricFamily)
gauge = partial(_family, GaugeMetricFamily)
