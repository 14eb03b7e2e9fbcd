"""What an open push connection was asked for: who flows, who is silent, what to ask for next."""

from dataclasses import replace

import pytest

from backend.models.ohlc import Interval
from backend.models.ticks import CandleTicks, MarketTicks, TickSubject
from backend.orchestration.push.subscriptions import SubscriptionChange, TickSubscriptions
from backend.providers.vendors.binance_stream import PUSH_FEED
from tests.clocks import ManualClock
from tests.instruments import instrument

MARKET = MarketTicks()
BTC = CandleTicks(instrument("BTCUSDT"), Interval.H1)
ETH = CandleTicks(instrument("ETHUSDT"), Interval.H1)
#: Tickers are silent after 10 s, candles after 60 s.
FEED = replace(PUSH_FEED, silence_s=lambda subject: 10.0 if subject == MARKET else 60.0)
#: Tickers of listed instruments, for venues without a subscription to all.
LISTED = MarketTicks((instrument("BTCUSDT"), instrument("ETHUSDT")))
OTHER_LIST = MarketTicks((instrument("BTCUSDT"),))
MANY: tuple[TickSubject, ...] = tuple(
    CandleTicks(instrument(f"C{number}USDT"), Interval.M1) for number in range(250)
)


def asked(clock: ManualClock, *subjects: TickSubject) -> TickSubscriptions:
    return TickSubscriptions(clock, FEED, subjects)


@pytest.mark.parametrize(
    ("heard_at", "looked_at", "flows", "is_silent", "is_dead"),
    [
        ([], 0, False, False, False),
        ([], 10, False, False, False),
        ([], 10.1, False, True, False),
        ([], 30, False, True, False),
        ([], 30.1, False, True, True),
        ([0], 0, True, False, False),
        ([0], 10, True, False, False),
        ([0], 10.1, False, True, False),
        ([0], 30.1, False, True, True),
        ([0, 25], 35, True, False, False),
        ([0, 25], 35.1, False, True, False),
        ([29], 55, False, True, False),
        ([40], 40, True, False, False),
    ],
)
def test_silence_and_death_are_counted_from_the_last_tick_or_the_question(
    clock: ManualClock,
    heard_at: list[float],
    looked_at: float,
    flows: bool,
    is_silent: bool,
    is_dead: bool,
) -> None:
    subjects = asked(clock, MARKET)
    for at in heard_at:
        clock.advance(at - clock.elapsed)
        assert subjects.mark_seen(MARKET)
    clock.advance(looked_at - clock.elapsed)
    assert subjects.is_flowing(MARKET) is flows
    assert subjects.is_silent(MARKET) is is_silent
    assert subjects.is_dead is is_dead


def test_each_subject_has_its_own_measure_of_silence(clock: ManualClock) -> None:
    subjects = asked(clock, MARKET, BTC)
    subjects.mark_seen(MARKET)
    subjects.mark_seen(BTC)
    clock.advance(11)
    assert (subjects.is_flowing(MARKET), subjects.is_flowing(BTC)) == (False, True)
    clock.advance(50)
    assert (subjects.is_silent(BTC), subjects.is_flowing(BTC)) == (True, False)


def test_one_candle_that_is_seen_keeps_the_connection_alive(clock: ManualClock) -> None:
    subjects = asked(clock, ETH, BTC)
    clock.advance(180)
    assert not subjects.is_dead
    clock.advance(0.1)
    assert subjects.is_dead
    subjects.mark_seen(BTC)
    assert not subjects.is_dead


def test_a_silent_market_is_dead_even_if_candles_arrive(clock: ManualClock) -> None:
    subjects = asked(clock, MARKET, BTC)
    clock.advance(30)
    subjects.mark_seen(BTC)
    assert not subjects.is_dead
    clock.advance(0.1)
    assert subjects.is_dead


def test_a_tick_of_the_market_belongs_to_the_subscription_of_listed_instruments(
    clock: ManualClock,
) -> None:
    subjects = asked(clock, BTC, LISTED)
    assert subjects.mark_seen(MARKET)
    assert subjects.is_flowing(LISTED)
    assert subjects.is_flowing(MARKET)
    clock.advance(61)
    assert subjects.is_silent(MARKET)
    assert not subjects.is_flowing(MARKET)


def test_another_list_of_instruments_replaces_the_subscription(clock: ManualClock) -> None:
    subjects = asked(clock, LISTED, BTC)
    subjects.mark_seen(MARKET)
    assert subjects.next_change((OTHER_LIST, BTC)) == SubscriptionChange("drop", (LISTED,))
    assert not subjects.mark_seen(MARKET)
    assert subjects.next_change((OTHER_LIST, BTC)) == SubscriptionChange("ask", (OTHER_LIST,))
    assert not subjects.is_flowing(MARKET)
    assert subjects.mark_seen(MARKET)
    assert subjects.is_flowing(OTHER_LIST)
    assert subjects.next_change((OTHER_LIST, BTC)) is None


def test_a_connection_without_subscriptions_is_not_dead(clock: ManualClock) -> None:
    subjects = asked(clock)
    clock.advance(10_000)
    assert not subjects.is_dead


def test_a_subject_that_was_not_asked_for_neither_flows_nor_is_silent(
    clock: ManualClock,
) -> None:
    subjects = asked(clock, MARKET)
    assert not subjects.mark_seen(BTC)
    clock.advance(1_000)
    assert not subjects.is_flowing(BTC)
    assert not subjects.is_silent(BTC)
    assert not subjects.was_live


def test_a_tick_makes_the_connection_live(clock: ManualClock) -> None:
    subjects = asked(clock, MARKET)
    assert not subjects.was_live
    subjects.mark_seen(MARKET)
    clock.advance(1_000)
    assert subjects.was_live


def test_what_the_connection_was_opened_with_is_not_asked_for_again(clock: ManualClock) -> None:
    assert asked(clock, MARKET, BTC).next_change((BTC, MARKET)) is None


def test_new_subjects_are_asked_for_once_in_the_order_wanted(clock: ManualClock) -> None:
    subjects = asked(clock, MARKET)
    wanted = (MARKET, ETH, BTC)
    assert subjects.next_change(wanted) == SubscriptionChange("ask", (ETH, BTC))
    assert subjects.next_change(wanted) is None


def test_the_silence_of_a_new_subject_begins_when_it_is_asked_for(clock: ManualClock) -> None:
    subjects = asked(clock, BTC)
    clock.advance(30)
    subjects.next_change((BTC, MARKET))
    clock.advance(10)
    assert not subjects.is_silent(MARKET)
    clock.advance(0.1)
    assert subjects.is_silent(MARKET)
    assert subjects.mark_seen(MARKET)
    assert subjects.is_flowing(MARKET)


def test_surplus_is_dropped_before_anything_new_is_asked_for(clock: ManualClock) -> None:
    subjects = asked(clock, MARKET, BTC)
    assert subjects.next_change((BTC, ETH)) == SubscriptionChange("drop", (MARKET,))
    assert subjects.next_change((BTC, ETH)) == SubscriptionChange("ask", (ETH,))
    assert subjects.next_change((BTC, ETH)) is None


def test_new_subjects_come_before_silent_ones(clock: ManualClock) -> None:
    subjects = asked(clock, MARKET)
    clock.advance(11)
    assert subjects.next_change((MARKET, BTC)) == SubscriptionChange("ask", (BTC,))
    assert subjects.next_change((MARKET, BTC)) == SubscriptionChange("ask", (MARKET,))


def test_a_dropped_subject_is_forgotten(clock: ManualClock) -> None:
    subjects = asked(clock, MARKET, BTC)
    subjects.mark_seen(MARKET)
    subjects.mark_seen(BTC)
    subjects.next_change((BTC,))
    assert not subjects.mark_seen(MARKET)
    assert not subjects.is_flowing(MARKET)
    assert subjects.next_change((BTC, MARKET)) == SubscriptionChange("ask", (MARKET,))
    assert not subjects.is_flowing(MARKET)


def test_a_subject_that_was_dropped_while_silent_is_asked_again_in_its_next_silence(
    clock: ManualClock,
) -> None:
    subjects = asked(clock, MARKET, BTC)
    clock.advance(11)
    assert subjects.next_change((MARKET, BTC)) == SubscriptionChange("ask", (MARKET,))
    assert subjects.next_change((BTC,)) == SubscriptionChange("drop", (MARKET,))
    assert subjects.next_change((MARKET, BTC)) == SubscriptionChange("ask", (MARKET,))
    clock.advance(11)
    assert subjects.next_change((MARKET, BTC)) == SubscriptionChange("ask", (MARKET,))


def test_a_silent_subject_is_asked_for_once_more_and_only_once(clock: ManualClock) -> None:
    subjects = asked(clock, MARKET, BTC)
    clock.advance(10)
    assert subjects.next_change((MARKET, BTC)) is None
    clock.advance(0.1)
    assert subjects.next_change((MARKET, BTC)) == SubscriptionChange("ask", (MARKET,))
    for _ in range(5):
        clock.advance(9)
        assert subjects.next_change((MARKET, BTC)) is None


def test_asking_again_does_not_end_the_silence(clock: ManualClock) -> None:
    subjects = asked(clock, MARKET)
    clock.advance(29)
    assert subjects.next_change((MARKET,)) == SubscriptionChange("ask", (MARKET,))
    assert subjects.is_silent(MARKET)
    clock.advance(1.1)
    assert subjects.is_dead


def test_a_subject_seen_again_is_asked_for_in_its_next_silence(clock: ManualClock) -> None:
    subjects = asked(clock, MARKET, BTC)
    clock.advance(11)
    subjects.next_change((MARKET, BTC))
    subjects.mark_seen(MARKET)
    assert subjects.next_change((MARKET, BTC)) is None
    clock.advance(11)
    assert subjects.next_change((MARKET, BTC)) == SubscriptionChange("ask", (MARKET,))


def test_a_command_asks_for_a_hundred_subjects_at_most(clock: ManualClock) -> None:
    subjects = asked(clock)
    wishes = [subjects.next_change(MANY) for _ in range(4)]
    assert wishes == [
        SubscriptionChange("ask", MANY[:100]),
        SubscriptionChange("ask", MANY[100:200]),
        SubscriptionChange("ask", MANY[200:]),
        None,
    ]


def test_a_command_drops_a_hundred_subjects_at_most(clock: ManualClock) -> None:
    subjects = asked(clock, *MANY)
    wishes = [subjects.next_change(()) for _ in range(4)]
    assert wishes == [
        SubscriptionChange("drop", MANY[:100]),
        SubscriptionChange("drop", MANY[100:200]),
        SubscriptionChange("drop", MANY[200:]),
        None,
    ]


def test_a_command_asks_again_for_a_hundred_silent_subjects_at_most(clock: ManualClock) -> None:
    subjects = asked(clock, *MANY)
    clock.advance(61)
    wishes = [subjects.next_change(MANY) for _ in range(4)]
    assert wishes == [
        SubscriptionChange("ask", MANY[:100]),
        SubscriptionChange("ask", MANY[100:200]),
        SubscriptionChange("ask", MANY[200:]),
        None,
    ]


def test_the_repr_shows_how_many_subjects_flow(clock: ManualClock) -> None:
    subjects = asked(clock, MARKET, BTC)
    subjects.mark_seen(BTC)
    assert repr(subjects) == "<TickSubscriptions 1 of 2 flowing>"


@pytest.mark.parametrize(
    ("heard_at", "looked_at", "silence_at"),
    [
        ([], 0, 10),
        ([4], 4, 14),
        ([4], 14, 14),
        ([4], 15, 25),  # a tick may come now, and be the last
        ([4], 30, 34),  # three silences
        ([4], 35, 45),
        ([4, 15], 16, 25),
    ],
)
def test_the_next_silence_may_begin_a_silence_after_the_last_tick_or_after_now(
    clock: ManualClock, heard_at: list[float], looked_at: float, silence_at: float
) -> None:
    subjects, begun = asked(clock, MARKET), clock.monotonic()
    for at in heard_at:
        clock.advance(at - clock.elapsed)
        assert subjects.mark_seen(MARKET)
    assert subjects.next_silence_at(begun + looked_at) == begun + silence_at


def test_who_listens_hears_when_the_ticks_of_a_subject_begin(clock: ManualClock) -> None:
    begun: list[float] = []
    subjects = TickSubscriptions(clock, FEED, [MARKET], lambda: begun.append(clock.elapsed))
    for at in (1, 2, 12, 22.1, 30):
        clock.advance(at - clock.elapsed)
        assert subjects.mark_seen(MARKET)
    assert begun == [1, 22.1]
