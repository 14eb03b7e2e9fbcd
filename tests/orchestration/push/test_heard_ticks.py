"""Which messages of the leader are accepted, and what flows here."""

import pytest

from backend.models.ohlc import Interval
from backend.models.ticks import CandleTicks, Flow, MarketTicks, TickStatus
from backend.orchestration.push.heard_ticks import STATE_S, HeardTicks
from backend.orchestration.push.tick_messages import Head, StreamState
from tests.clocks import EPOCH, ManualClock
from tests.instruments import instrument

MARKET = MarketTicks()
BTC = CandleTicks(instrument("BTCUSDT"), Interval.H1)
LIVE = Flow(True, venue="binance")
STATUS = TickStatus("binance", "live", None, EPOCH, 2)
STATE = StreamState(STATUS, LIVE, ((BTC, LIVE),))


def heard(clock: ManualClock) -> HeardTicks:
    return HeardTicks(clock, lambda subject: 10.0 if subject == MARKET else 60.0)


def head(number: int, term: int = 1) -> Head:
    return Head("tickers", term, number)


def test_repeated_messages_and_those_out_of_order_are_refused() -> None:
    ticks = heard(ManualClock())
    numbers = (1, 3, 3, 2, 4)
    assert [ticks.accepts(head(n)) for n in numbers] == [True, True, False, False, True]


def test_a_new_term_begins_anew_and_ends_the_one_before() -> None:
    ticks = heard(ManualClock())
    assert ticks.accepts(head(9))
    assert ticks.accepts(head(1, term=2))
    assert not ticks.accepts(head(10, term=1))  # the last leader, late


@pytest.mark.parametrize("last", [head(10**18), head(5, term=10**18)])
def test_an_absurd_number_or_a_store_that_begins_anew_stops_the_ticks_for_seconds(
    last: Head,
) -> None:
    clock = ManualClock()
    ticks = heard(clock)
    assert ticks.accepts(last)
    clock.advance(STATE_S)
    assert not ticks.accepts(head(5))
    clock.advance(0.1)
    assert ticks.accepts(head(6))
    assert ticks.accepts(head(7))


def test_a_subject_flows_from_its_first_tick_while_the_leader_says_so() -> None:
    clock = ManualClock()
    ticks = heard(clock)
    assert ticks.flow(BTC) == Flow(False)
    ticks.want((MARKET, BTC))
    assert repr(ticks) == "<HeardTicks 2 subjects>"
    ticks.note_state(STATE, MARKET)
    assert ticks.flow(BTC) == Flow(False)
    ticks.note_tick(BTC)
    assert ticks.flow(BTC) == LIVE
    ticks.note_state(StreamState(STATUS, LIVE, ((BTC, Flow(False, "timeout")),)), MARKET)
    assert ticks.flow(BTC) == Flow(False, "timeout")
    clock.advance(11)
    ticks.note_state(STATE, MARKET)
    assert (ticks.flow(BTC), ticks.flow(MARKET)) == (LIVE, Flow(False, "timeout"))
    ticks.want((MARKET,))
    ticks.note_tick(BTC)  # no longer wanted
    assert ticks.flow(BTC) == Flow(False)


def test_a_state_that_is_not_repeated_is_forgotten() -> None:
    clock = ManualClock()
    ticks = heard(clock)
    ticks.want((BTC,))
    ticks.note_state(STATE, MARKET)
    ticks.note_tick(BTC)
    clock.advance(STATE_S)
    assert (ticks.flow(BTC), ticks.status()) == (LIVE, STATUS)
    clock.advance(0.1)
    assert (ticks.flow(BTC), ticks.status()) == (Flow(False), None)


def test_flows_that_nobody_here_wants_are_not_kept() -> None:
    ticks = heard(ManualClock())
    ticks.want((MARKET,))
    ticks.note_state(STATE, MARKET)
    assert set(ticks._flows) == {MARKET}
