"""Prometheus metrics of this process's part in the cluster. A single process has none."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from backend.cluster.contract import ClusterState
from backend.models.cluster import ROLES
from backend.observability.metrics import counter, gauge


@dataclass(frozen=True, slots=True)
class ClusterReading:
    """The cluster and its counters, which count since the start of this process.

    `asked` questions to leaders took `asked_s` seconds in all. `fenced`: calls that the store
    refused to record, as another process led. `dropped`: messages that could not be sent or used.
    """

    state: ClusterState
    link_falls: int
    takeovers: int
    fenced: int
    share_calls: int
    asked: int
    asked_s: float
    sent_bytes: int
    received_bytes: int
    dropped: int


class ClusterMetrics(Collector):
    """Reads at each scrape, without I/O."""

    def __init__(self, read: Callable[[], ClusterReading]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        reading = self._read()
        state = reading.state
        yield gauge(
            "cluster_role",
            "1 for what this process is in the cluster now, 0 for all others.",
            ("role",),
            {(role,): float(role == state.role) for role in ROLES},
        )
        for make, name, help_text, value in (
            (gauge, "term", "Rises with each takeover in the cluster.", state.term),
            (gauge, "members", "Processes that the store knew at the last contact.", state.members),
            (gauge, "link_up", "1 while the shared store answers.", state.is_connected),
            (counter, "link_falls", "Losses of the shared store.", reading.link_falls),
            (counter, "takeovers", "Takeovers by this process.", reading.takeovers),
            (counter, "fenced", "Calls not made, as another process led.", reading.fenced),
            (counter, "share_calls", "Calls within this process's share.", reading.share_calls),
            (counter, "sent_bytes", "Messages to other processes.", reading.sent_bytes),
            (counter, "received_bytes", "Messages of other processes.", reading.received_bytes),
            (counter, "messages_dropped", "Messages not sent or not used.", reading.dropped),
        ):
            number = len(value) if isinstance(value, tuple) else float(value)
            yield make(f"cluster_{name}", help_text, (), {(): number})
        yield SummaryMetricFamily(
            "gateway_cluster_asked_seconds",
            "Questions to the leader, and how long they took.",
            count_value=reading.asked,
            sum_value=reading.asked_s,
        )
