"""The metrics that events add up to."""

from prometheus_client import REGISTRY, generate_latest

from backend.events import (
    CallRetried,
    ProviderCalled,
    ProviderStateChanged,
    RawStreamsChanged,
    RefreshFailing,
    TickFeedChanged,
)
from backend.models.status import ProviderChosen, ProviderState, Refusal
from backend.observability.metrics import EventMetrics
from backend.orchestration.fan_out import FanOut
from tests.clocks import EPOCH, ManualClock
from tests.scrape import samples
from tests.walk import PriceQuery, Walk


def scraped(metrics: EventMetrics) -> dict[str, float]:
    found = samples(generate_latest(metrics.registry).decode())
    return {series: value for series, value in found.items() if "_process_" not in series}


def called(outcome: str = "ok", latency_ms: float = 120.0, detail: str = "-") -> ProviderCalled:
    return ProviderCalled(EPOCH, "binance", "market", outcome, latency_ms, 1.0, 418, detail)


def test_calls_are_counted_by_provider_category_and_outcome() -> None:
    metrics = EventMetrics()
    for event in (called(), called(), called("timeout", 3_010.0)):
        metrics(event)
    name, labels = "gateway_provider_call_seconds", "category=market,outcome={},provider=binance"
    found = scraped(metrics)
    assert found[f"{name}_count{{{labels.format('ok')}}}"] == 2
    assert found[f"{name}_count{{{labels.format('timeout')}}}"] == 1
    assert found[f"{name}_sum{{{labels.format('timeout')}}}"] == 3.01


def test_a_latency_falls_into_every_bucket_that_is_not_below_it() -> None:
    metrics = EventMetrics()
    for latency_ms in (50.0, 51.0, 9_000.0):
        metrics(called(latency_ms=latency_ms))
    buckets = {
        series.partition("le=")[2].partition(",")[0]: value
        for series, value in scraped(metrics).items()
        if "_bucket" in series
    }
    assert (buckets["0.05"], buckets["0.1"], buckets["5.0"], buckets["+Inf"]) == (1, 2, 2, 3)


def test_a_provider_passed_over_is_counted_with_the_reason() -> None:
    metrics = EventMetrics()
    for reason in ("cooldown", "cooldown", "rate_limited"):
        window = "minute" if reason == "rate_limited" else None
        limited = Refusal("binance", reason, EPOCH, window=window)
        over = (limited, Refusal("coingecko_pro", "disabled"))
        metrics(ProviderChosen(EPOCH, "market", "coingecko_free", "its turn", over))
    assert scraped(metrics) == {
        "gateway_provider_passed_over_total{provider=binance,reason=cooldown}": 2,
        "gateway_provider_passed_over_total{provider=binance,reason=rate_limited,window=minute}": 1,
        "gateway_provider_passed_over_total{provider=coingecko_pro,reason=disabled}": 3,
    }


async def test_providers_called_together_count_one_passed_over_provider_once(
    clock: ManualClock,
) -> None:
    walk, metrics = Walk(clock), EventMetrics()
    for name in "abc":
        walk.add(name)
    walk.add("d", state=ProviderState.DISABLED)
    source = FanOut(walk.manager(), clock=clock, emit=metrics, timeout_s=3)
    for _ in range(2):
        await source.fetch(PriceQuery())
    assert scraped(metrics) == {
        "gateway_provider_passed_over_total{provider=d,reason=disabled}": 2,
    }


def test_only_the_begin_of_an_outage_is_counted() -> None:
    metrics = EventMetrics()
    for reason in ("timeout", None, "timeout"):
        metrics(RefreshFailing(EPOCH, "ohlc", "BTC candles", reason))
        metrics(TickFeedChanged(EPOCH, "binance", reason))
    metrics(RawStreamsChanged(EPOCH, "binance", "geo_blocked"))
    metrics(CallRetried(EPOCH, "binance", "connect_error", "another_host"))
    metrics(ProviderStateChanged(EPOCH, "binance", "active", "cooldown"))
    assert scraped(metrics) == {
        "gateway_refresh_outages_total{category=ohlc,reason=timeout}": 2,
        "gateway_tick_feed_falls_total{provider=binance,reason=timeout}": 2,
        "gateway_raw_stream_falls_total{provider=binance,reason=geo_blocked}": 1,
        "gateway_call_retries_total{how=another_host,provider=binance,reason=connect_error}": 1,
    }


def test_texts_of_providers_and_clients_create_no_series() -> None:
    metrics = EventMetrics()
    for number in range(10_000):
        metrics(called(detail=f"what they said {number}", latency_ms=float(number)))
        metrics(ProviderChosen(EPOCH, "market", "binance", f"weight {number}"))
        metrics(RefreshFailing(EPOCH, "ohlc", f"COIN{number} candles", "timeout"))
    series = [name for name in scraped(metrics) if "_bucket" not in name]
    assert len(series) == 3


def test_each_registry_is_separate_and_includes_the_process() -> None:
    first, second = EventMetrics(), EventMetrics()
    first(called())
    assert scraped(second) == {}
    text = generate_latest(second.registry).decode()
    assert samples(text)["gateway_process_resident_memory_bytes"] > 1_000_000
    assert b"gateway_" not in generate_latest(REGISTRY)
