from backend.orchestration.health.call_stats import CallStats
from tests.clocks import EPOCH


def test_before_the_first_call_everything_is_unknown() -> None:
    stats = CallStats()
    assert stats.success_rate is None
    latency = stats.latency
    assert (latency.last, latency.p50, latency.p95) == (None, None, None)
    assert repr(stats) == "<CallStats 0/0>"


def test_the_success_rate_is_of_the_last_hundred() -> None:
    stats = CallStats()
    for _ in range(100):
        stats.record_failure(EPOCH, "timeout")
    for _ in range(75):
        stats.record_success(EPOCH, 10.0)
    assert stats.success_rate == 0.75
    assert (stats.requests, stats.failures) == (175, 100)


def test_percentiles_are_latencies_that_were_measured() -> None:
    stats = CallStats()
    for latency_ms in range(1, 101):
        stats.record_success(EPOCH, float(latency_ms))
    latency = stats.latency
    assert (latency.last, latency.p50, latency.p95) == (100.0, 50.0, 95.0)


def test_a_success_resets_consecutive_failures() -> None:
    stats = CallStats()
    stats.record_failure(EPOCH, "upstream_5xx: HTTP 500")
    stats.record_failure(EPOCH, "timeout: no answer")
    assert stats.consecutive_failures == 2
    stats.record_success(EPOCH, 1.0)
    assert stats.consecutive_failures == 0
    assert stats.last_error == "timeout: no answer"
    assert stats.last_success_at == stats.last_failure_at == EPOCH
