"""Counts events for Prometheus. A label never holds a text of a client or a provider."""

from collections.abc import Iterable
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from backend.events import CallRetried, Event, ProviderCalled, RefreshFailing, TickFeedChanged
from backend.models.status import ProviderChosen, Refusal

#: Upper bounds of the latency buckets, in seconds; calls above the last one ran into a timeout.
BOUNDS_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0)

# Else each counter has a second series with the time of its creation.
disable_created_metrics()  # type: ignore[no-untyped-call]


def make_registry(*collectors: Collector) -> CollectorRegistry:
    """A registry of these collectors and of the process's memory, CPU and open files."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(namespace="gateway", registry=registry)
    return registry


class EventMetrics(Collector):
    """The event sink of the metrics. Labels are our own names and reasons, so series are few."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        counter = partial(Counter, namespace="gateway", registry=self._registry)
        self._calls = Histogram(
            "gateway_provider_call_seconds",
            "Duration of provider attempts; outcome is ok or the reason of the failure.",
            ("provider", "category", "outcome"),
            buckets=BOUNDS_S,
            registry=self._registry,
        )
        self._passed_over = counter(
            "provider_passed_over",
            "Choices in which a provider was passed over, by reason and by limit.",
            ("provider", "reason", "window"),
        )
        self._retries = counter(
            "call_retries",
            "Failed calls inside an attempt that continued, by the way it continued.",
            ("provider", "reason", "how"),
        )
        self._outages = counter(
            "refresh_outages",
            "Queries whose refreshes began to fail, by the reason of the first failure.",
            ("category", "reason"),
        )
        self._tick_falls = counter(
            "tick_feed_falls", "Losses of a venue's push connection.", ("provider", "reason")
        )
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
            case TickFeedChanged(reason=str(reason)):
                self._tick_falls.labels(event.provider, reason).inc()

    def collect(self) -> Iterable[Metric]:
        return self._registry.collect()
