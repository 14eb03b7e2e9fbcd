"""What the gateway tells of itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from backend import __version__
from backend.errors import InvalidParameter
from backend.events import ProviderChosen
from backend.models.answer import Answer, Query
from backend.models.market import QuotesQuery
from backend.models.ohlc import Interval, OhlcQuery
from backend.models.status import LatencyStatus, ProviderStatus, Refusal
from backend.services.status import CacheStatus, StatusService, WebSocketStatus
from tests.clocks import EPOCH, ManualClock


@dataclass
class StandInProvider:
    name: str
    is_usable: bool = True
    is_configured: bool = True

    def status(self) -> ProviderStatus:
        return ProviderStatus(
            name=self.name,
            categories=("market",),
            status="active" if self.is_usable else "cooldown",
            reason=None,
            hint=None,
            success_rate=None,
            latency_ms=LatencyStatus(None, None, None),
            consecutive_failures=0,
            requests=0,
            failures=0,
            last_success_at=None,
            last_failure_at=None,
            last_error=None,
            cooldown_until=None,
            quotas=(),
        )


TTLS = {"market": 60.0, "ohlc": 15.0}


@dataclass(frozen=True)
class StandInChoice:
    provider: StandInProvider
    reason: str = "its turn"


class StandInManager:
    interval_s = 0.0
    passed: tuple[Refusal, ...] = ()

    def __init__(self, **chains: Sequence[StandInProvider]) -> None:
        self._chains = chains

    def refresh_interval_s(self, _query: Query[Any]) -> float:
        return self.interval_s

    def explain(self, query: Query[Any]) -> tuple[StandInChoice | None, tuple[Refusal, ...]]:
        standing = self.eligible(query)
        return (StandInChoice(standing[0]) if standing else None), self.passed

    def chain(self, category: str) -> Sequence[StandInProvider]:
        return self._chains[category]

    def eligible(self, query: Query[Any]) -> Sequence[StandInProvider]:
        return [provider for provider in self._chains[query.category] if provider.is_usable]


PLAIN: dict[str, Query[Any]] = {
    "market": QuotesQuery(),
    "ohlc": OhlcQuery("bitcoin", None, Interval.H1),
}


@dataclass
class StandInCounters:
    hits: int = 0
    misses: int = 0
    stale_served: int = 0


class StandInHistory:
    choices = (ProviderChosen(EPOCH, "market", "good", "first of its tier"),)


class StandInCache:
    def __init__(self, newest: Answer[Any] | None, entries: int = 0, *counters: int) -> None:
        self.newest = newest
        self.counters = StandInCounters(*counters)
        self._entries = entries

    def __len__(self) -> int:
        return self._entries


def answer(*, stale: bool = False, age_s: float = 10.0, ttl_left_s: float = 50.0) -> Answer[Any]:
    return Answer(
        (), "good", EPOCH, 12.0, stale=stale, age_s=age_s, ttl_left_s=0.0 if stale else ttl_left_s
    )


GOOD, SECOND = StandInProvider("good"), StandInProvider("second")
DOWN = StandInProvider("resting", is_usable=False)
UNSET = StandInProvider("unset", is_usable=False, is_configured=False)
FRESH, STALE, EXPIRED = answer(), answer(stale=True), answer(ttl_left_s=0.0)


def service(
    chain: Sequence[StandInProvider], newest: Answer[Any] | None, clock: ManualClock | None = None
) -> StatusService:
    return StatusService(
        StandInManager(market=chain),
        StandInHistory(),
        {"market": StandInCache(newest)},
        PLAIN,
        clock=clock or ManualClock(),
        ttls=TTLS,
        ticks=lambda: None,
    )


@pytest.mark.parametrize(
    ("chain", "newest", "expected"),
    [
        ([GOOD, SECOND], FRESH, "ok"),
        ([GOOD, SECOND], None, "ok"),
        ([GOOD], EXPIRED, "ok"),
        ([GOOD, UNSET], FRESH, "ok"),
        ([GOOD, DOWN], FRESH, "degraded"),
        ([GOOD, DOWN], None, "degraded"),
        ([GOOD, SECOND], STALE, "degraded"),
        ([DOWN], FRESH, "degraded"),
        ([DOWN], STALE, "degraded"),
        ([UNSET], FRESH, "degraded"),
        ([DOWN], None, "down"),
        ([UNSET], None, "down"),
        ([], None, "down"),
    ],
)
def test_a_category_is_as_well_as_its_providers_and_its_newest_answer(
    chain: Sequence[StandInProvider], newest: Answer[Any] | None, expected: str
) -> None:
    overview = service(chain, newest).overview(WebSocketStatus())
    assert overview.categories["market"].status == expected
    assert overview.status == expected


@pytest.mark.parametrize(
    ("market", "ohlc", "expected"),
    [
        ([GOOD], [GOOD], "ok"),
        ([GOOD], [DOWN], "degraded"),
        ([DOWN], [GOOD], "degraded"),
        ([GOOD, DOWN], [GOOD, DOWN], "degraded"),
        ([GOOD, DOWN], [DOWN], "degraded"),
        ([DOWN], [DOWN], "down"),
    ],
)
def test_the_whole_is_down_only_when_every_category_is(
    market: Sequence[StandInProvider], ohlc: Sequence[StandInProvider], expected: str
) -> None:
    caches = {"market": StandInCache(None), "ohlc": StandInCache(None)}
    manager = StandInManager(market=market, ohlc=ohlc)
    assert (
        StatusService(
            manager,
            StandInHistory(),
            caches,
            PLAIN,
            clock=ManualClock(),
            ttls=TTLS,
            ticks=lambda: None,
        )
        .overview(WebSocketStatus())
        .status
        == expected
    )


@pytest.mark.parametrize(
    ("chain", "newest", "ready"),
    [
        ([GOOD], None, True),
        ([DOWN, GOOD], None, True),
        ([DOWN], FRESH, True),
        ([DOWN], STALE, True),
        ([DOWN], None, False),
        ([UNSET], None, False),
        ([], None, False),
    ],
)
def test_ready_means_a_usable_provider_or_a_warm_cache(
    chain: Sequence[StandInProvider], newest: Answer[Any] | None, ready: bool
) -> None:
    assert service(chain, newest).is_ready() is ready


def test_readiness_is_that_of_market_data() -> None:
    caches = {"market": StandInCache(None), "ohlc": StandInCache(FRESH)}
    manager = StandInManager(market=[DOWN], ohlc=[GOOD])
    assert not StatusService(
        manager, StandInHistory(), caches, PLAIN, clock=ManualClock(), ttls=TTLS, ticks=lambda: None
    ).is_ready()


def test_a_category_names_the_providers_that_can_serve_it_now_in_order() -> None:
    overview = service([SECOND, DOWN, UNSET, GOOD], FRESH).overview(WebSocketStatus())
    assert overview.categories["market"].providers == ("second", "good")


def test_a_category_tells_the_age_of_its_newest_answer(clock: ManualClock) -> None:
    market = service([GOOD], answer(age_s=10.12345, ttl_left_s=50.0), clock).overview(
        WebSocketStatus()
    )
    category = market.categories["market"]
    assert category.fresh is True
    assert category.age_seconds == 10.123
    assert category.next_refresh_at == EPOCH + timedelta(seconds=50)


def test_a_category_that_was_never_asked_has_no_age() -> None:
    category = service([GOOD], None).overview(WebSocketStatus()).categories["market"]
    assert category.fresh is False
    assert category.age_seconds is None
    assert category.next_refresh_at is None


@pytest.mark.parametrize("newest", [STALE, EXPIRED])
def test_a_stale_or_expired_answer_is_not_fresh(newest: Answer[Any]) -> None:
    assert service([GOOD], newest).overview(WebSocketStatus()).categories["market"].fresh is False


def test_every_provider_is_listed_once_the_unusable_included() -> None:
    manager = StandInManager(market=[GOOD, DOWN, UNSET], ohlc=[DOWN, SECOND])
    caches = {"market": StandInCache(None), "ohlc": StandInCache(None)}
    overview = StatusService(
        manager, StandInHistory(), caches, PLAIN, clock=ManualClock(), ttls=TTLS, ticks=lambda: None
    ).overview(WebSocketStatus())
    assert [each.name for each in overview.providers] == ["good", "resting", "unset", "second"]
    assert [each.status for each in overview.providers] == ["active", *["cooldown"] * 2, "active"]


def test_the_cache_counters_are_the_sum_over_the_categories() -> None:
    caches = {"market": StandInCache(None, 1, 10, 2, 3), "ohlc": StandInCache(None, 4, 5, 6, 0)}
    overview = StatusService(
        StandInManager(market=[], ohlc=[]),
        StandInHistory(),
        caches,
        PLAIN,
        clock=ManualClock(),
        ttls=TTLS,
        ticks=lambda: None,
    ).overview(WebSocketStatus())
    assert overview.cache == CacheStatus(entries=5, hits=15, misses=8, stale_served=3)


def test_uptime_counts_from_the_start(clock: ManualClock) -> None:
    begun = service([GOOD], None, clock)
    clock.advance(12.3456)
    assert begun.overview(WebSocketStatus()).uptime_seconds == 12.346


def test_version_choices_and_the_idle_stream_are_told() -> None:
    overview = service([GOOD], None).overview(WebSocketStatus())
    assert overview.version == __version__
    assert [choice.provider for choice in overview.rotation] == ["good"]
    assert overview.websocket == WebSocketStatus(clients=0, messages_sent=0, dropped=0)


def explaining(manager: StandInManager) -> StatusService:
    return StatusService(
        manager,
        StandInHistory(),
        {"market": StandInCache(None)},
        PLAIN,
        clock=ManualClock(),
        ttls=TTLS,
        ticks=lambda: None,
    )


def test_it_explains_whom_it_would_choose_and_why_not_the_others() -> None:
    manager = StandInManager(market=[GOOD])
    manager.passed = (Refusal("b", "cooldown", EPOCH, detail="it fell"),)
    told = explaining(manager).explain("market")
    assert (told.category, told.chosen, told.reason) == ("market", "good", "its turn")
    assert told.passed_over == (Refusal("b", "cooldown", EPOCH, "it fell"),)


def test_it_explains_that_nobody_is_left() -> None:
    told = explaining(StandInManager(market=[])).explain("market")
    assert (told.chosen, told.reason) == (None, "no provider is eligible")


def test_a_category_that_there_is_not_cannot_be_explained() -> None:
    with pytest.raises(InvalidParameter) as caught:
        explaining(StandInManager(market=[])).explain("weather")
    assert caught.value.allowed == ("market",)


@pytest.mark.parametrize(("interval_s", "effective_s"), [(0.0, 60.0), (59.0, 60.0), (568.0, 568.0)])
def test_a_category_tells_how_often_its_budgets_afford_a_refresh(
    interval_s: float, effective_s: float
) -> None:
    manager = StandInManager(market=[GOOD])
    manager.interval_s = interval_s
    told = explaining(manager).overview(WebSocketStatus()).categories["market"]
    assert told.ttl_effective_seconds == effective_s
    assert (told.ttl_note is None) == (effective_s == 60.0)
    if told.ttl_note:
        assert "good can afford a refresh each 568 s" in told.ttl_note
        assert "9.5 times as large" in told.ttl_note
