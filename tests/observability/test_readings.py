"""Metrics that are read at a scrape."""

from collections import Counter
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from backend.models.answer import CacheCounters
from backend.models.status import (
    CacheStatus,
    CategoryStatus,
    GatewayStatus,
    LatencyStatus,
    ProviderState,
    ProviderStatus,
    Quota,
    WebSocketStatus,
)
from backend.models.ticks import TickStatus
from backend.observability.metrics import Readings
from tests.clocks import EPOCH
from tests.scrape import samples


def status(
    *providers: ProviderStatus,
    ages: Mapping[str, float | None] | None = None,
    ticks: TickStatus | None = None,
) -> GatewayStatus:
    categories = {
        name: CategoryStatus("ok", (), True, age_s, None, 60.0, None, 300.0)
        for name, age_s in (ages or {}).items()
    }
    cache, websocket = CacheStatus(0, 0, 0, 0), WebSocketStatus()
    return GatewayStatus("ok", "1", 0.0, categories, providers, (), cache, websocket, ticks)


def scraped(collector: Collector) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(collector)
    return samples(generate_latest(registry).decode())


def provider(name: str, state: str, *quotas: Quota) -> ProviderStatus:
    latency = LatencyStatus(None, None, None)
    return ProviderStatus(
        name, (), state, None, None, None, latency, 0, 0, 0, None, None, None, None, quotas
    )


def test_a_provider_is_in_one_state_and_all_are_scraped() -> None:
    rows = (provider("binance", "geo_blocked"), provider("newsapi", "not_configured"))
    found = scraped(Readings(lambda: status(*rows), {}))
    assert len(found) == 2 * len(ProviderState)
    assert {series for series, value in found.items() if value} == {
        "gateway_provider_state{provider=binance,state=geo_blocked}",
        "gateway_provider_state{provider=newsapi,state=not_configured}",
    }


def test_the_status_is_read_at_each_scrape() -> None:
    states = ["active"]
    readings = Readings(lambda: status(provider("binance", states[0])), {})
    series = "gateway_provider_state{provider=binance,state=cooldown}"
    before = scraped(readings)[series]
    states[0] = "cooldown"
    assert (before, scraped(readings)[series]) == (0, 1)


def test_a_quota_shows_its_usage_and_its_limit() -> None:
    quota = Quota("30 days", 10_000, 17, 9_983, EPOCH)
    found = scraped(Readings(lambda: status(provider("a", "active", quota)), {}))
    assert found["gateway_provider_quota_used{provider=a,window=30 days}"] == 17
    assert found["gateway_provider_quota_limit{provider=a,window=30 days}"] == 10_000


def test_of_two_windows_of_a_length_the_one_nearer_to_its_end_is_scraped() -> None:
    near, far = Quota("minute", 100, 90, 10, None), Quota("minute", 6_000, 100, 5_900, None)
    for quotas in ((near, far), (far, near)):
        row = provider("a", "active", *quotas)
        found = scraped(Readings(lambda row=row: status(row), {}))  # type: ignore[misc]
        assert found["gateway_provider_quota_used{provider=a,window=minute}"] == 90
        assert found["gateway_provider_quota_limit{provider=a,window=minute}"] == 100


def test_a_category_without_an_answer_has_no_age() -> None:
    found = scraped(Readings(lambda: status(ages={"market": 12.5, "gas": None}), {}))
    assert found == {"gateway_answer_age_seconds{category=market}": 12.5}


def test_the_tick_feed_has_1_for_one_state() -> None:
    ticks = TickStatus("binance", "down", "timeout", EPOCH, 1)
    found = scraped(Readings(lambda: status(ticks=ticks), {}))
    series = "gateway_tick_feed_state{{provider=binance,state={}}}"
    expected = {"off": 0.0, "connecting": 0.0, "live": 0.0, "down": 1.0}
    assert found == {series.format(state): value for state, value in expected.items()}


def test_cache_counters_are_shown_by_category() -> None:
    counters = CacheCounters(7, 3, 2, Counter({"timeout": 4, "rate_limited": 1}))
    assert scraped(Readings(status, {"gas": counters})) == {
        "gateway_cache_hits_total{category=gas}": 7,
        "gateway_cache_misses_total{category=gas}": 3,
        "gateway_readers_joined_total{category=gas}": 2,
        "gateway_stale_answers_total{category=gas,reason=timeout}": 4,
        "gateway_stale_answers_total{category=gas,reason=rate_limited}": 1,
    }
