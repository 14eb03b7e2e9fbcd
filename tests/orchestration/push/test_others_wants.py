"""What other processes want: how long it counts, and what is dropped first."""

import pytest

from backend.models.ohlc import Interval
from backend.models.ticks import CandleTicks, MarketTicks
from backend.orchestration.push.others_wants import (
    MOST_KEPT,
    MOST_MERGED,
    MOST_PROCESSES,
    WANTS_S,
    OthersWants,
)
from backend.orchestration.push.tick_messages import MOST_CANDLES, Wants
from tests.clocks import ManualClock
from tests.instruments import instrument

MARKET = MarketTicks()


def candles(first: int, count: int) -> tuple[CandleTicks, ...]:
    numbers = range(first, first + count)
    return tuple(CandleTicks(instrument(f"C{number}USDT"), Interval.H1) for number in numbers)


A, B, C, D = candles(0, 4)


def test_wants_count_for_five_seconds_after_they_were_heard() -> None:
    clock = ManualClock()
    wants = OthersWants(clock)
    wants.note("one", Wants(True, (A,)))
    clock.advance(WANTS_S - 1)
    wants.note("two", Wants(False, (B,)))
    assert (wants.market, wants.candles) == (True, frozenset({A, B}))
    assert repr(wants) == "<OthersWants of 2 processes>"
    clock.advance(1)
    assert (wants.market, wants.candles) == (False, frozenset({B}))
    wants.note("two", Wants())
    assert wants.merged(()) == ()


def test_tickers_come_first_and_each_subject_once() -> None:
    wants = OthersWants(ManualClock())
    wants.note("two", Wants(False, (B, A)))
    assert wants.merged((A, MARKET)) == (MARKET, A, B)
    assert wants.merged((A,)) == (A, B)
    wants.note("three", Wants(True))
    assert wants.merged(()) == (MARKET, B, A)


def test_who_wants_the_most_loses_some_first() -> None:
    wants = OthersWants(ManualClock())
    for number in range(3):
        wants.note(f"large {number}", Wants(False, candles(1_000 * number, MOST_CANDLES)))
    wants.note("small", Wants(False, candles(9_000, 100)))
    own = candles(8_000, 100)
    merged = wants.merged((MARKET, *own))
    assert len(merged) == MOST_MERGED
    assert {MARKET, *own, *candles(9_000, 100)} <= set(merged)
    found = set(merged)
    lost = [sum(one not in found for one in candles(1_000 * n, 1_000)) for n in range(3)]
    assert max(lost) - min(lost) <= 1


@pytest.mark.many_rounds
def test_what_is_kept_is_bounded_and_those_who_were_there_keep_theirs() -> None:
    clock = ManualClock()
    wants = OthersWants(clock)
    full = MOST_KEPT // MOST_CANDLES
    for _ in range(2):  # repeated, they replace themselves
        for number in range(full + 5):
            first = number * MOST_CANDLES
            wants.note(f"{number:03}", Wants(True, candles(first, MOST_CANDLES)))
    assert len(wants.candles) == MOST_KEPT
    assert wants.candles >= set(candles((full - 1) * MOST_CANDLES, MOST_CANDLES))
    for number in range(2 * MOST_PROCESSES):
        wants.note(f"more {number}", Wants(True))
    assert repr(wants) == f"<OthersWants of {MOST_PROCESSES} processes>"
