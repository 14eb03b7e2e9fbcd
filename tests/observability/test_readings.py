"""What stands at the moment of a scrape."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client import generate_latest
from prometheus_client.registry import Collector

from backend.cache.counters import CacheCounters
from backend.models.status import LatencyStatus, ProviderState, ProviderStatus, Quota
from backend.models.ticks import TickStatus
from backend.observability.metrics import make_registry
from backend.observability.readings import CacheReadings, StatusReadings
from tests.clocks import EPOCH
from tests.scrape import samples


@dataclass(frozen=True)
class StandInCategory:
    age_seconds: float | None


@dataclass
class StandInStatus:
    providers: tuple[ProviderStatus, ...] = ()
    categories: Mapping[str, StandInCategory] = field(default_factory=dict)
    ticks: TickStatus | None = None


@dataclass(frozen=True)
class StandInCache:
    counters: CacheCounters


def told(collector: Collector) -> dict[str, float]:
    found = samples(generate_latest(make_registry(collector)).decode())
    return {series: value for series, value in found.items() if "_process_" not in series}


def provider(name: str, status: str, *quotas: Quota) -> ProviderStatus:
    latency = LatencyStatus(None, None, None)
    return ProviderStatus(
        name, (), status, None, None, None, latency, 0, 0, 0, None, None, None, None, quotas
    )


def test_a_provider_is_in_one_state_and_all_are_told() -> None:
    rows = (provider("binance", "geo_blocked"), provider("newsapi", "not_configured"))
    found = told(StatusReadings(lambda: StandInStatus(rows)))
    assert len(found) == 2 * len(ProviderState)
    assert {series for series, value in found.items() if value} == {
        "gateway_provider_state{provider=binance,state=geo_blocked}",
        "gateway_provider_state{provider=newsapi,state=not_configured}",
    }


def test_it_is_read_anew_each_time() -> None:
    status = StandInStatus((provider("binance", "active"),))
    readings = StatusReadings(lambda: status)
    series = "gateway_provider_state{provider=binance,state=cooldown}"
    before = told(readings)[series]
    status.providers = (provider("binance", "cooldown"),)
    assert (before, told(readings)[series]) == (0, 1)


def test_a_quota_tells_what_is_used_and_what_is_allowed() -> None:
    quota = Quota("30 days", 10_000, 17, 9_983, EPOCH)
    found = told(StatusReadings(lambda: StandInStatus((provider("a", "active", quota),))))
    assert found["gateway_provider_quota_used{provider=a,window=30 days}"] == 17
    assert found["gateway_provider_quota_limit{provider=a,window=30 days}"] == 10_000


def test_of_two_windows_of_a_length_the_one_nearer_to_its_end_is_told() -> None:
    near, far = Quota("minute", 100, 90, 10, None), Quota("minute", 6_000, 100, 5_900, None)
    for quotas in ((near, far), (far, near)):
        row = provider("a", "active", *quotas)
        found = told(StatusReadings(lambda row=row: StandInStatus((row,))))  # type: ignore[misc]
        assert found["gateway_provider_quota_used{provider=a,window=minute}"] == 90
        assert found["gateway_provider_quota_limit{provider=a,window=minute}"] == 100


def test_an_age_is_told_where_there_is_an_answer() -> None:
    categories = {"market": StandInCategory(12.5), "gas": StandInCategory(None)}
    found = told(StatusReadings(lambda: StandInStatus(categories=categories)))
    assert found == {"gateway_answer_age_seconds{category=market}": 12.5}


def test_the_tick_feed_is_in_one_state() -> None:
    ticks = TickStatus("binance", "down", "timeout", EPOCH, 1)
    found = told(StatusReadings(lambda: StandInStatus(ticks=ticks)))
    series = "gateway_tick_feed_state{{provider=binance,state={}}}"
    expected = {"off": 0.0, "connecting": 0.0, "live": 0.0, "down": 1.0}
    assert found == {series.format(state): value for state, value in expected.items()}


def test_the_caches_counters_are_told_by_category() -> None:
    counters = CacheCounters(7, 3, 2, Counter({"timeout": 4, "rate_limited": 1}))
    assert told(CacheReadings({"gas": StandInCache(counters)})) == {
        "gateway_cache_hits_total{category=gas}": 7,
        "gateway_cache_misses_total{category=gas}": 3,
        "gateway_readers_joined_total{category=gas}": 2,
        "gateway_stale_answers_total{category=gas,reason=timeout}": 4,
        "gateway_stale_answers_total{category=gas,reason=rate_limited}": 1,
    }
