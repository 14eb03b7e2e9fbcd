"""What events add up to, for Prometheus. No label is ever what a client or a provider wrote."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from backend.events import (
    CallRetried,
    Event,
    ProviderCalled,
    RefreshFailing,
    TickFeedChanged,
)
from backend.models.status import ProviderChosen, Refusal
from backend.observability.families import Labels, counter

#: Upper bounds in seconds; what is above the last one ran into a timeout.
BOUNDS_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0)


def make_registry(*collectors: Collector) -> CollectorRegistry:
    """Of these and of the process's own memory, CPU and files; every gateway has its own."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(namespace="gateway", registry=registry)
    return registry


class Latencies:
    """How many took up to each bound, and how long all took together."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def note(self, seconds: float) -> None:
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """By bound, each with all that took less."""
        bounds = [*map(str, BOUNDS_S), "+Inf"]
        return list(zip(bounds, accumulate(self._counts), strict=True))


class EventMetrics(Collector):
    """The sink that counts. Labels are names and reasons of ours, so their number is bounded."""

    def __init__(self) -> None:
        self._calls: dict[Labels, Latencies] = {}
        self._passed_over = Counter[Labels]()
        self._retries = Counter[Labels]()
        self._failing = Counter[Labels]()
        self._tick_falls = Counter[Labels]()
        self._last_passed_over: tuple[Refusal, ...] = ()

    def __repr__(self) -> str:
        return f"<EventMetrics {len(self._calls)} kinds of calls>"

    def __call__(self, event: Event) -> None:
        match event:
            case ProviderChosen():
                self._note_passed_over(event.passed_over)
            case ProviderCalled():
                labels = (event.provider, event.category, event.outcome)
                self._calls.setdefault(labels, Latencies()).note(event.latency_ms / 1000)
            case CallRetried():
                self._retries[event.provider, event.reason, event.how] += 1
            case RefreshFailing(reason=str(reason)):
                self._failing[event.category, reason] += 1
            case TickFeedChanged(reason=str(reason)):
                self._tick_falls[event.provider, reason] += 1

    def collect(self) -> Iterable[Metric]:
        yield _histogram(self._calls)
        yield counter(
            "provider_passed_over",
            "Choices in which a provider was passed over, by the reason why, and by the limit.",
            ("provider", "reason", "window"),
            self._passed_over,
        )
        yield counter(
            "call_retries",
            "Calls that failed within an attempt that went on, by how it went on.",
            ("provider", "reason", "how"),
            self._retries,
        )
        yield counter(
            "refresh_outages",
            "Questions whose refreshes began to fail, by the first failure's reason.",
            ("category", "reason"),
            self._failing,
        )
        yield counter(
            "tick_feed_falls",
            "Times that a venue's push connection fell after it was well.",
            ("provider", "reason"),
            self._tick_falls,
        )

    def _note_passed_over(self, passed_over: tuple[Refusal, ...]) -> None:
        # Those who are asked together tell the very same tuple, each one of them.
        if passed_over is not self._last_passed_over:
            self._passed_over.update(
                (passed.provider, passed.reason, passed.window or "") for passed in passed_over
            )
        self._last_passed_over = passed_over


def _histogram(calls: Mapping[Labels, Latencies]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        "gateway_provider_call_seconds",
        "Attempts to have a provider answer and how long they took; outcome is ok or the reason.",
        labels=("provider", "category", "outcome"),
    )
    for labels, latencies in calls.items():
        family.add_metric(labels, latencies.buckets, latencies.sum_s)
    return family
