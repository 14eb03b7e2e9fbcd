"""The guard of the gas question: which heights the chain can have, given one that it had."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.models.gas import GasQuery
from tests.clocks import EPOCH_MS

KNOWN = 26_012_345
#: Seconds since the known block was first seen, the block told now against it, and whether it may
#: be the chain's newest.
TABLE = [
    (0, -4, False),
    (0, -3, True),
    (0, 0, True),
    (0, 10, True),
    (0, 11, True),
    (15, 1, True),
    (15, 12, True),
    (15, 13, True),
    (72, 0, True),
    (72, -1, False),
    (95, 0, True),  # stands still: in an hour of trouble even the chain might
    (96, 0, False),
    (96, 1, True),
    (96, 8, True),
    (96, 26, True),
    (96, 27, True),
    (120, -8_000, False),
    (299, 8, False),
    (299, 9, True),
    (299, 25, True),
    (299, 59, True),
    (299, 10**9, True),
    # The known height is no guide any more.
    (300, 0, True),
    (300, 1, True),
    (300, -8_000, True),
    (300, 10**9, True),
    (86_400, 0, True),
    (86_400, 7_200, True),
    # Our clock was set back: a little, as if no time had passed; much, as if nothing were known.
    (-1, -4, False),
    (-1, 0, True),
    (-1, 11, True),
    (-299, 10, True),
    (-300, 300, True),
]


def is_taken(known: int, elapsed_ms: int, told: int) -> bool:
    query = GasQuery(newest_block=known, newest_block_at_ms=EPOCH_MS)
    try:
        query.refuse_other_heads(told, EPOCH_MS + elapsed_ms)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(("elapsed_s", "ahead", "taken"), TABLE)
def test_a_height_is_accepted_or_refused(elapsed_s: int, ahead: int, taken: bool) -> None:
    assert is_taken(KNOWN, elapsed_s * 1000, KNOWN + ahead) is taken


@pytest.mark.parametrize(
    ("elapsed_s", "ahead", "is_ahead"),
    [
        (0, 10, False),
        (0, 11, True),
        (96, 26, False),
        (96, 27, True),
        (299, 59, False),
        (299, 60, True),
        (299, 10**9, True),
        (300, 10**9, False),
        (-1, 11, True),
    ],
)
def test_a_height_that_no_growth_explains_is_recognised(
    elapsed_s: int, ahead: int, is_ahead: bool
) -> None:
    query = GasQuery(newest_block=KNOWN, newest_block_at_ms=EPOCH_MS)
    now_ms = EPOCH_MS + elapsed_s * 1000
    assert query.is_ahead_of_all_slots(KNOWN + ahead, now_ms) is is_ahead
    assert not GasQuery().is_ahead_of_all_slots(KNOWN + ahead, now_ms)


@given(st.integers(1, 10**12), st.integers(0, 2**53))
def test_any_height_is_accepted_if_none_is_known(block: int, now_ms: int) -> None:
    GasQuery().refuse_other_heads(block, now_ms)
    GasQuery(newest_block=block).refuse_other_heads(1, now_ms)


@given(st.integers(0, 299_999), st.integers(0, 3), st.integers(0, 30))
def test_an_honest_node_is_never_refused(elapsed_ms: int, behind: int, missed: int) -> None:
    """Up to three blocks behind, and up to half of the slots missed."""
    slots = elapsed_ms // 12_000
    made = slots - min(missed, slots // 2)
    assert is_taken(KNOWN, elapsed_ms, KNOWN + made - behind)


def test_the_known_block_is_no_part_of_the_querys_identity() -> None:
    asked = GasQuery(newest_block=KNOWN, newest_block_at_ms=EPOCH_MS)
    assert (asked, hash(asked)) == (GasQuery(), hash(GasQuery()))
