"""Which questions share a budget: those that are asked again and again."""

from backend.orchestration.hot_questions import MOST_REMEMBERED, HotQuestions
from tests.clocks import ManualClock
from tests.walk import PriceQuery

BTC, ETH, SOL = PriceQuery("btc"), PriceQuery("eth"), PriceQuery("sol")


def test_a_question_alone_has_all_of_it(clock: ManualClock) -> None:
    hot = HotQuestions(clock)
    assert hot.count(60, BTC) == 1
    hot.note(BTC)
    hot.note(BTC)
    assert hot.count(60, BTC) == 1
    assert repr(hot) == "<HotQuestions 1>"


def test_others_that_were_asked_lately_count_with_it(clock: ManualClock) -> None:
    hot = HotQuestions(clock)
    for query in (BTC, ETH, SOL):
        hot.note(query)
    assert hot.count(60, BTC) == 3
    assert hot.count(60, PriceQuery("new")) == 4


def test_one_that_was_not_asked_for_two_of_its_turns_is_cold(clock: ManualClock) -> None:
    hot = HotQuestions(clock)
    hot.note(ETH)
    clock.advance(4_000)  # two turns of two questions of 1 000 s
    assert hot.count(1_000, BTC) == 2
    clock.advance(1)
    assert hot.count(1_000, BTC) == 1


def test_each_one_more_makes_turns_longer(clock: ManualClock) -> None:
    hot = HotQuestions(clock)
    hot.note(SOL)
    clock.advance(2_000)
    hot.note(ETH)
    clock.advance(4_000)  # ETH's is the second turn; with it SOL's is the third: 6 000 s
    assert hot.count(1_000, BTC) == 3
    clock.advance(0.5)
    assert hot.count(1_000, BTC) == 1  # ETH is cold, and what is older too


def test_what_was_asked_within_ten_minutes_counts_however_short_the_turns(
    clock: ManualClock,
) -> None:
    hot = HotQuestions(clock)
    hot.note(ETH)
    clock.advance(600)
    assert hot.count(0.01, BTC) == 2
    clock.advance(1)
    assert hot.count(0.01, BTC) == 1


def test_a_question_asked_again_is_new_again(clock: ManualClock) -> None:
    hot = HotQuestions(clock)
    hot.note(ETH)
    hot.note(SOL)
    clock.advance(601)
    hot.note(ETH)
    assert hot.count(1, BTC) == 2


def test_only_so_many_are_remembered_and_the_oldest_goes(clock: ManualClock) -> None:
    hot = HotQuestions(clock)
    for number in range(MOST_REMEMBERED + 10):
        hot.note(PriceQuery(str(number)))
    assert repr(hot) == f"<HotQuestions {MOST_REMEMBERED}>"
    assert hot.count(1, PriceQuery(str(MOST_REMEMBERED + 9))) == MOST_REMEMBERED
    assert hot.count(1, PriceQuery("0")) == MOST_REMEMBERED + 1
