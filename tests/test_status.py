"""The documents of `/api/status`, over stand-ins for the manager and the caches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import pytest

from backend import __version__
from backend.cache.cached_source import CachedSource
from backend.cluster.contract import Cluster, SingleProcess
from backend.errors import InvalidParameter
from backend.models.answer import Answer, Query
from backend.models.cluster import ClusterStatus, MemberStatus, Role
from backend.models.status import (
    CacheStatus,
    LatencyStatus,
    ProviderChosen,
    ProviderStatus,
    Refusal,
    WebSocketStatus,
)
from backend.orchestration.provider_manager import ProviderManager
from backend.settings import Settings
from backend.status import RotationHistory, StatusService, cluster_status
from tests.clocks import EPOCH, ManualClock
from tests.cluster.fake_cluster import FakeCluster, member, two


@dataclass
class StandInProvider:
    name: str
    is_usable: bool = True
    is_configured: bool = True

    def has_operation_for(self, _query: Query[Any]) -> bool:
        return True

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


SETTINGS = Settings(_env_prefix="NOBODY_SETS_THIS_", _env_file=None)


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


def made(
    manager: "StandInManager",
    caches: Mapping[str, "StandInCache"],
    clock: ManualClock | None = None,
    cluster: Cluster | None = None,
) -> StatusService:
    return StatusService(
        cast("ProviderManager", manager),
        cast("RotationHistory", StandInHistory()),
        cast("Mapping[str, CachedSource[Any, Any]]", caches),
        settings=SETTINGS,
        clock=clock or ManualClock(),
        ticks=lambda: None,
        spread=lambda: None,
        cluster=cluster or SingleProcess(),
    )


def service(
    chain: Sequence[StandInProvider], newest: Answer[Any] | None, clock: ManualClock | None = None
) -> StatusService:
    return made(StandInManager(market=chain), {"market": StandInCache(newest)}, clock)


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
def test_the_health_of_a_category_follows_from_its_providers_and_its_newest_answer(
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
def test_the_gateway_is_down_only_if_every_category_is(
    market: Sequence[StandInProvider], ohlc: Sequence[StandInProvider], expected: str
) -> None:
    caches = {"market": StandInCache(None), "ohlc": StandInCache(None)}
    manager = StandInManager(market=market, ohlc=ohlc)
    assert made(manager, caches).overview(WebSocketStatus()).status == expected


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


def test_only_market_data_counts_for_readiness() -> None:
    caches = {"market": StandInCache(None), "ohlc": StandInCache(FRESH)}
    manager = StandInManager(market=[DOWN], ohlc=[GOOD])
    assert not made(manager, caches).is_ready()


def test_a_category_lists_the_usable_providers_in_order() -> None:
    overview = service([SECOND, DOWN, UNSET, GOOD], FRESH).overview(WebSocketStatus())
    assert overview.categories["market"].providers == ("second", "good")


def test_a_category_shows_the_age_of_its_newest_answer(clock: ManualClock) -> None:
    market = service([GOOD], answer(age_s=10.12345, ttl_left_s=50.0), clock).overview(
        WebSocketStatus()
    )
    category = market.categories["market"]
    assert category.fresh is True
    assert category.age_seconds == 10.123
    assert category.next_refresh_at == EPOCH + timedelta(seconds=50)


def test_a_category_without_an_answer_has_no_age() -> None:
    category = service([GOOD], None).overview(WebSocketStatus()).categories["market"]
    assert category.fresh is False
    assert category.age_seconds is None
    assert category.next_refresh_at is None


@pytest.mark.parametrize("newest", [STALE, EXPIRED])
def test_a_stale_or_expired_answer_is_not_fresh(newest: Answer[Any]) -> None:
    assert service([GOOD], newest).overview(WebSocketStatus()).categories["market"].fresh is False


def test_every_provider_is_listed_once_including_unusable_ones() -> None:
    manager = StandInManager(market=[GOOD, DOWN, UNSET], ohlc=[DOWN, SECOND])
    caches = {"market": StandInCache(None), "ohlc": StandInCache(None)}
    overview = made(manager, caches).overview(WebSocketStatus())
    assert [each.name for each in overview.providers] == ["good", "resting", "unset", "second"]
    assert [each.status for each in overview.providers] == ["active", *["cooldown"] * 2, "active"]


def test_the_cache_counters_are_the_sum_over_the_categories() -> None:
    caches = {"market": StandInCache(None, 1, 10, 2, 3), "ohlc": StandInCache(None, 4, 5, 6, 0)}
    overview = made(StandInManager(market=[], ohlc=[]), caches).overview(WebSocketStatus())
    assert overview.cache == CacheStatus(entries=5, hits=15, misses=8, stale_served=3)


def test_uptime_counts_from_the_start(clock: ManualClock) -> None:
    begun = service([GOOD], None, clock)
    clock.advance(12.3456)
    assert begun.overview(WebSocketStatus()).uptime_seconds == 12.346


def test_version_choices_and_the_idle_stream_are_shown() -> None:
    overview = service([GOOD], None).overview(WebSocketStatus())
    assert overview.version == __version__
    assert [choice.provider for choice in overview.rotation] == ["good"]
    assert overview.websocket == WebSocketStatus(clients=0, messages_sent=0, dropped=0)


def explaining(manager: StandInManager) -> StatusService:
    return made(manager, {"market": StandInCache(None)})


def test_explain_names_the_provider_to_choose_and_the_reasons_of_the_others() -> None:
    manager = StandInManager(market=[GOOD])
    manager.passed = (Refusal("b", "cooldown", EPOCH, detail="it fell"),)
    shown = explaining(manager).explain("market")
    assert (shown.category, shown.chosen, shown.reason) == ("market", "good", "its turn")
    assert shown.passed_over == (Refusal("b", "cooldown", EPOCH, "it fell"),)


def test_explain_says_that_no_provider_is_eligible() -> None:
    shown = explaining(StandInManager(market=[])).explain("market")
    assert (shown.chosen, shown.reason) == (None, "no provider is eligible")


def test_an_unknown_category_cannot_be_explained() -> None:
    with pytest.raises(InvalidParameter) as caught:
        explaining(StandInManager(market=[])).explain("weather")
    assert caught.value.allowed == ("market",)


@pytest.mark.parametrize(("interval_s", "effective_s"), [(0.0, 60.0), (59.0, 60.0), (568.0, 568.0)])
def test_a_category_shows_the_refresh_interval_that_its_budgets_allow(
    interval_s: float, effective_s: float
) -> None:
    manager = StandInManager(market=[GOOD])
    manager.interval_s = interval_s
    shown = explaining(manager).overview(WebSocketStatus()).categories["market"]
    assert shown.ttl_effective_seconds == effective_s
    assert (shown.ttl_note is None) == (effective_s == 60.0)
    if shown.ttl_note:
        assert "the budget of good allows one refresh per 568 s" in shown.ttl_note
        assert "9.5 times as large" in shown.ttl_note


# In a cluster


class StandInHistoryOf(StandInHistory):
    def __init__(self, provider: str) -> None:
        self.choices = (ProviderChosen(EPOCH, "market", provider, "its turn"),)


def pair(
    leader: tuple[Sequence[StandInProvider], Answer[Any] | None],
    follower: tuple[Sequence[StandInProvider], Answer[Any] | None],
    clock: ManualClock | None = None,
) -> tuple[StatusService, StatusService, FakeCluster]:
    """The services of a leader and of a follower, which has heard the leader's status."""
    clusters = two()
    services = []
    for cluster, (chain, newest) in zip(clusters, (leader, follower), strict=True):
        caches = {"market": StandInCache(newest, 1, 2, 3)}
        one = made(StandInManager(market=chain), caches, clock, cluster)
        one.history = cast("RotationHistory", StandInHistoryOf(chain[0].name))
        services.append(one)
    services[0].exchange.tell(services[0].to_tell)
    return services[0], services[1], clusters[1]


def test_a_follower_shows_the_leaders_providers_and_choices_and_its_own_cache() -> None:
    leader, follower, _ = pair(([GOOD, DOWN], FRESH), ([SECOND], None))
    shown, told = follower.overview(WebSocketStatus(3)), leader.overview(WebSocketStatus())
    assert shown.providers == told.providers
    assert [each.name for each in shown.providers] == ["good", "resting"]
    assert [choice.provider for choice in shown.rotation] == ["good"]
    assert (shown.websocket.clients, shown.cache.hits) == (3, 2)
    category = shown.categories["market"]
    assert category.providers == ("good",)
    assert category.next_refresh_at == told.categories["market"].next_refresh_at
    assert (category.fresh, category.age_seconds) == (False, None)


def test_a_follower_shows_the_age_of_its_own_answer() -> None:
    _, follower, _ = pair(([GOOD], answer(age_s=1)), ([GOOD], answer(age_s=25.0)))
    category = follower.overview(WebSocketStatus()).categories["market"]
    assert (category.fresh, category.age_seconds) == (True, 25.0)


@pytest.mark.parametrize(
    ("leader", "newest", "expected"),
    [
        (([GOOD], FRESH), FRESH, "ok"),
        (([GOOD], FRESH), None, "ok"),
        (([GOOD], FRESH), STALE, "degraded"),
        (([GOOD, DOWN], FRESH), FRESH, "degraded"),
        (([DOWN], None), None, "down"),
        (([DOWN], None), FRESH, "degraded"),
    ],
)
def test_the_health_at_a_follower_follows_from_the_leaders_providers_and_its_own_answer(
    leader: tuple[Sequence[StandInProvider], Answer[Any] | None],
    newest: Answer[Any] | None,
    expected: str,
) -> None:
    _, follower, _ = pair(leader, ([UNSET], newest))
    overview = follower.overview(WebSocketStatus())
    assert (overview.status, overview.categories["market"].status) == (expected, expected)


@pytest.mark.parametrize("role", ["island", "leader", "excluded"])
def test_without_a_leader_a_process_shows_its_own_view(role: Role) -> None:
    _, follower, cluster = pair(([GOOD], FRESH), ([SECOND], None))
    cluster.role = role
    shown = follower.overview(WebSocketStatus())
    assert [each.name for each in shown.providers] == ["second"]
    assert [choice.provider for choice in shown.rotation] == ["second"]
    assert follower.explain("market").chosen == "second"


def test_a_leaders_status_that_stops_coming_is_not_shown(clock: ManualClock) -> None:
    _, follower, _ = pair(([GOOD], FRESH), ([SECOND], None), clock)
    clock.advance(10.1)
    assert [each.name for each in follower.overview(WebSocketStatus()).providers] == ["second"]


def test_the_metrics_read_the_processs_own_view() -> None:
    _, follower, _ = pair(([GOOD], FRESH), ([SECOND], None))
    assert [each.name for each in follower.own(WebSocketStatus()).providers] == ["second"]


def test_a_category_that_the_leader_does_not_know_is_the_followers_own() -> None:
    _, follower, _ = pair(([GOOD], FRESH), ([SECOND], None))
    follower.manager = cast("ProviderManager", StandInManager(market=[SECOND], ohlc=[SECOND]))
    follower.caches = cast("Any", {"market": StandInCache(None), "ohlc": StandInCache(None)})
    follower._listed = ("market", "ohlc")
    shown = follower.overview(WebSocketStatus()).categories
    assert (shown["market"].providers, shown["ohlc"].providers) == (("good",), ("second",))
    assert follower.explain("ohlc").chosen == "second"


def test_a_follower_explains_what_the_leader_would_choose() -> None:
    _, follower, _ = pair(([GOOD], FRESH), ([SECOND], None))
    assert follower.explain("market").chosen == "good"
    with pytest.raises(InvalidParameter):
        follower.explain("weather")


@pytest.mark.parametrize(
    ("role", "newest", "ready"),
    [
        ("island", None, True),
        ("follower", None, True),
        ("excluded", None, False),
        ("excluded", STALE, True),
    ],
)
def test_readiness_is_the_processs_own_and_an_excluded_one_needs_an_answer(
    role: Role, newest: Answer[Any] | None, ready: bool
) -> None:
    _, cluster = two()
    cluster.role, cluster.is_connected = role, False
    one = made(StandInManager(market=[GOOD]), {"market": StandInCache(newest)}, cluster=cluster)
    assert one.is_ready() is ready


def test_a_single_process_says_so() -> None:
    shown = service([GOOD], None).overview(WebSocketStatus()).cluster
    assert shown == ClusterStatus("single", size=1)
    assert (shown.name, shown.process, shown.link, shown.leader, shown.members) == (
        *[None] * 4,
        (),
    )


def test_a_processs_part_in_the_cluster_is_shown_with_its_members() -> None:
    _, cluster = two()
    cluster.members = (
        member("vm/0", "leader", readers=12, age_s=0.25),
        member("vm/1", age_s=-3.0),  # told by a clock that is ahead
    )
    assert cluster_status(cluster.state()) == ClusterStatus(
        "follower",
        name="gateway",
        process="vm/1",
        size=4,
        leader="vm/0",
        term=7,
        link="up",
        reason=None,
        since=EPOCH,
        members=(
            MemberStatus("vm/0", "leader", 12, "0.1.0", 0.2),
            MemberStatus("vm/1", "follower", 0, "0.1.0", 0.0),
        ),
    )


def test_an_island_says_why() -> None:
    _, cluster = two()
    cluster.role, cluster.is_connected = "island", False
    cluster.reason = "the server is unreachable"
    shown = cluster_status(cluster.state())
    assert (shown.role, shown.link, shown.leader) == ("island", "down", None)
    assert shown.reason == "the server is unreachable"
