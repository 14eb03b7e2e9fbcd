"""The metrics of a process's part in the cluster."""

from dataclasses import replace

from prometheus_client import CollectorRegistry, generate_latest

from backend.observability.cluster_metrics import ClusterMetrics, ClusterReading
from tests.cluster.fake_cluster import two
from tests.scrape import samples

READING = ClusterReading(
    two()[0].state(),
    link_falls=1,
    takeovers=2,
    fenced=3,
    share_calls=4,
    asked=5,
    asked_s=0.25,
    sent_bytes=6,
    received_bytes=7,
    dropped=8,
)


def scraped(reading: ClusterReading) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(ClusterMetrics(lambda: reading))
    found = samples(generate_latest(registry).decode())
    return {name.removeprefix("gateway_cluster_"): value for name, value in found.items()}


def test_all_figures_of_a_leader() -> None:
    assert scraped(READING) == {
        "role{role=single}": 0,
        "role{role=leader}": 1,
        "role{role=follower}": 0,
        "role{role=island}": 0,
        "role{role=excluded}": 0,
        "term": 7,
        "members": 2,
        "link_up": 1,
        "link_falls_total": 1,
        "takeovers_total": 2,
        "fenced_total": 3,
        "share_calls_total": 4,
        "asked_seconds_count": 5,
        "asked_seconds_sum": 0.25,
        "sent_bytes_total": 6,
        "received_bytes_total": 7,
        "messages_dropped_total": 8,
    }


def test_an_island_without_a_link() -> None:
    island = replace(READING.state, role="island", is_connected=False)
    found = scraped(replace(READING, state=island))
    assert (found["link_up"], found["role{role=island}"], found["role{role=leader}"]) == (0, 1, 0)
