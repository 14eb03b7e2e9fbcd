"""Which questions share a budget: those that are asked again and again, shared ones first."""

from math import inf

import pytest

from backend.models.coins import CoinsQuery
from backend.models.global_market import GlobalQuery
from backend.orchestration.limits import demand_tracker
from backend.orchestration.limits.demand_tracker import MAX_QUERIES, RECURRENT_S, DemandTracker
from tests.clocks import ManualClock
from tests.walk import PriceQuery, SeriesQuery

BTC, ETH, SOL = PriceQuery("btc"), PriceQuery("eth"), PriceQuery("sol")


def note_twice(hot: DemandTracker, *queries: PriceQuery) -> None:
    for query in (*queries, *queries):
        hot.record(query)


def test_a_single_query_has_every_interval(clock: ManualClock) -> None:
    hot = DemandTracker(clock)
    assert hot.interval_factor(60, BTC) == 1
    note_twice(hot, BTC)
    assert hot.interval_factor(60, BTC) == 1
    assert repr(hot) == "<DemandTracker 1>"


def test_a_query_answered_once_takes_no_share(clock: ManualClock) -> None:
    hot = DemandTracker(clock)
    for number in range(40):
        hot.record(SeriesQuery(str(number)))
    hot.record(ETH)
    assert hot.interval_factor(568, BTC) == 1


def test_recurrent_queries_share_the_intervals(clock: ManualClock) -> None:
    hot = DemandTracker(clock)
    note_twice(hot, BTC, ETH, SOL)
    assert hot.interval_factor(60, BTC) == 3
    assert hot.interval_factor(60, PriceQuery("new")) == 4


@pytest.mark.parametrize(
    ("series", "of_the_shared", "of_a_series"), [(0, 1, 2), (1, 2, 2), (3, 2, 6), (40, 2, 80)]
)
def test_shared_queries_have_half_of_the_intervals_whatever_the_number_of_series(
    clock: ManualClock, series: int, of_the_shared: int, of_a_series: int
) -> None:
    hot = DemandTracker(clock)
    note_twice(hot, BTC, *(SeriesQuery(str(number)) for number in range(series)))
    assert hot.interval_factor(60, BTC) == of_the_shared
    assert hot.interval_factor(60, SeriesQuery("0")) == of_a_series
    calls_a_turn = 1 / of_the_shared + series / of_a_series
    assert calls_a_turn <= 1 + 1e-9


def test_without_a_shared_query_the_series_have_all_intervals(clock: ManualClock) -> None:
    hot = DemandTracker(clock)
    note_twice(hot, SeriesQuery("a"), SeriesQuery("b"), SeriesQuery("c"))
    assert hot.interval_factor(60, SeriesQuery("a")) == 3


def test_series_leave_a_reserved_part_and_shared_queries_give_nothing_up(
    clock: ManualClock,
) -> None:
    hot = DemandTracker(clock)
    note_twice(hot, BTC, *map(SeriesQuery, "abc"))
    alone = hot.interval_factor(60, BTC), hot.interval_factor(60, SeriesQuery("a"))
    reserved = hot.interval_factor(60, BTC, 0.05), hot.interval_factor(60, SeriesQuery("a"), 0.05)
    assert reserved[0] == alone[0]
    # In as many intervals as series have each call once, theirs and the reserved ones fit.
    assert reserved[1] == pytest.approx(3 / (0.5 - 0.05))
    assert alone[1] == pytest.approx(3 / 0.5)


def test_a_query_not_answered_for_two_of_its_intervals_is_no_longer_in_demand(
    clock: ManualClock,
) -> None:
    hot = DemandTracker(clock)
    note_twice(hot, ETH)
    clock.advance(4_000)  # two turns of two questions of 1 000 s
    assert hot.interval_factor(1_000, BTC) == 2
    clock.advance(1)
    assert hot.interval_factor(1_000, BTC) == 1


def test_each_further_query_lengthens_the_intervals(clock: ManualClock) -> None:
    hot = DemandTracker(clock)
    note_twice(hot, SOL)
    clock.advance(2_000)
    note_twice(hot, ETH)
    clock.advance(4_000)  # ETH's is the second turn; with it SOL's is the third: 6 000 s
    assert hot.interval_factor(1_000, BTC) == 3
    clock.advance(0.5)
    assert hot.interval_factor(1_000, BTC) == 1  # ETH is cold, and what is older too


def test_a_query_answered_within_ten_minutes_is_always_in_demand(
    clock: ManualClock,
) -> None:
    hot = DemandTracker(clock)
    note_twice(hot, ETH)
    clock.advance(600)
    assert hot.interval_factor(0.01, BTC) == 2
    clock.advance(1)
    assert hot.interval_factor(0.01, BTC) == 1


def test_two_answers_far_apart_are_not_recurrent(clock: ManualClock) -> None:
    hot = DemandTracker(clock)
    hot.record(ETH)
    assert not hot.is_recurrent(ETH)
    clock.advance(RECURRENT_S)
    hot.record(ETH)
    assert hot.is_recurrent(ETH)
    clock.advance(RECURRENT_S + 1)
    assert not hot.is_recurrent(ETH)
    hot.record(ETH)
    assert not hot.is_recurrent(ETH)
    assert not hot.is_recurrent(BTC)


def test_the_number_of_queries_is_bounded_and_the_oldest_is_dropped(clock: ManualClock) -> None:
    hot = DemandTracker(clock)
    for number in range(MAX_QUERIES + 10):
        note_twice(hot, PriceQuery(str(number)))
    assert repr(hot) == f"<DemandTracker {MAX_QUERIES}>"
    assert hot.interval_factor(1, PriceQuery(str(MAX_QUERIES + 9))) == MAX_QUERIES
    assert hot.interval_factor(1, PriceQuery("0")) == MAX_QUERIES + 1


def test_a_query_that_needs_less_than_its_share_leaves_the_rest(clock: ManualClock) -> None:
    """One that is answered once an hour takes a twelfth of a budget of a call in 300 s."""
    hot = DemandTracker(clock)
    hot.record(ETH)
    clock.advance(3_600)
    hot.record(ETH)
    assert hot.interval_factor(300, BTC) == pytest.approx(12 / 11, rel=0.01)
    assert hot.interval_factor(300, SeriesQuery("a")) == pytest.approx(12 / 11, rel=0.01)


def test_queries_at_their_fair_shares_keep_them(clock: ManualClock) -> None:
    hot = DemandTracker(clock)
    for query in (BTC, ETH, SOL):
        hot.record(query)
    clock.advance(900)
    for query in (BTC, ETH, SOL):
        hot.record(query)
    assert hot.interval_factor(300, BTC) == pytest.approx(3)


def test_a_query_of_half_the_weight_has_half_a_share(clock: ManualClock) -> None:
    hot = DemandTracker(clock)
    for _ in range(2):
        hot.record(GlobalQuery())
        hot.record(BTC)
    assert hot.interval_factor(300, BTC) == pytest.approx(1.5)
    assert hot.interval_factor(300, GlobalQuery()) == pytest.approx(3)


def test_batches_of_coins_are_one_query_whichever_coins_they_bring(clock: ManualClock) -> None:
    hot = DemandTracker(clock)
    hot.record(CoinsQuery(("a", "b")))
    hot.record(CoinsQuery(("b", "c")))
    assert hot.is_recurrent(CoinsQuery(("d",)))
    assert hot.is_recurrent(CoinsQuery(symbols=("X",)))
    assert repr(hot) == "<DemandTracker 1>"


def test_the_time_since_the_last_answer(clock: ManualClock) -> None:
    hot = DemandTracker(clock)
    assert hot.answered_s_ago(BTC) == inf
    hot.record(BTC)
    clock.advance(5)
    assert hot.answered_s_ago(BTC) == 5


def test_the_search_for_the_shares_ends_after_some_steps(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demand_tracker, "MOST_STEPS", 1)
    hot = DemandTracker(clock)
    note_twice(hot, BTC, ETH, SOL)
    assert 4 <= hot.interval_factor(60, PriceQuery("new")) <= 8
