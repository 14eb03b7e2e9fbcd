"""What a process remembers of the cluster's calls."""

from backend.cluster.call_log import CallLog
from backend.storage.contract import FIRST_SECOND_TICK as SECOND

DAY, SHORT = "a/open/day", "a/open/minute"


def test_calls_are_added_and_copied() -> None:
    log = CallLog()
    log.add({(DAY, 5): 2, (SHORT, SECOND): 1})
    log.add({(DAY, 5): -1})
    copy = log.copy()
    copy[DAY][5] = 100
    assert log.copy() == {DAY: {5: 1}, SHORT: {SECOND: 1}}
    assert (len(log), repr(log)) == (2, "<CallLog 2 ticks of 2 windows>")


def test_of_two_logs_the_larger_amount_of_each_tick_counts() -> None:
    log = CallLog()
    log.add({(DAY, 5): 2, (DAY, 6): 1})
    log.join({DAY: {5: 1, 6: 4, 7: 3}, SHORT: {SECOND: 1}})
    log.join(log.copy())
    assert log.copy() == {DAY: {5: 2, 6: 4, 7: 3}, SHORT: {SECOND: 1}}


def test_old_minutes_and_seconds_are_forgotten_and_named() -> None:
    log = CallLog()
    log.add({(DAY, 5): 1, (DAY, 6): 1, (SHORT, SECOND): 1, (SHORT, SECOND + 9): 1})
    assert set(log.delete_before(6, SECOND + 9)) == {(DAY, 5), (SHORT, SECOND)}
    assert log.copy() == {DAY: {6: 1}, SHORT: {SECOND + 9: 1}}
    log.delete_before(7, SECOND + 10)
    assert (log.copy(), len(log)) == ({}, 0)
