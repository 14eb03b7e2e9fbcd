"""A state file with figures that cannot be true: they are set aside, and the rest is kept."""

import math

import pytest

from backend.storage import KeptBlock, Remembered, sound
from tests.clocks import EPOCH

NOW_S = EPOCH.timestamp()
MINUTE, SECOND, YEAR_S = int(NOW_S // 60), int(NOW_S), 365 * 86_400.0
WINDOW = "coingecko_free/demo/month"
BLOCK = KeptBlock("rate_limited", "rate_limited", NOW_S + 60, True, NOW_S - 60)


def test_what_can_be_true_is_kept_as_it_is() -> None:
    remembered = Remembered(
        {WINDOW: {0: 1, MINUTE: 3}, "etherscan/free/second": {SECOND + 4: 2}},
        {"gas/0": b"{}"},
        NOW_S - 9,
        NOW_S - 5,
        {"binance/keyless": BLOCK},
    )
    assert sound(remembered, NOW_S) == (remembered, ())


@pytest.mark.parametrize(
    ("tick", "amount"),
    [
        (2**60, 1),
        (-1, 1),
        (-(2**62), 1),
        (MINUTE + 525_600, 46),
        (SECOND + 31_536_000, 1),
        (MINUTE, -5),
        (MINUTE, 2**60),
    ],
)
def test_calls_that_cannot_be_true_are_set_aside_and_leave_the_past_unknown(
    tick: int, amount: int
) -> None:
    remembered = Remembered({WINDOW: {tick: amount, MINUTE - 7: 2}}, seen_at=NOW_S - 5)
    found, problems = sound(remembered, NOW_S)
    assert (found.calls, found.seen_at) == ({WINDOW: {MINUTE - 7: 2}}, None)
    assert problems == (f"1 entries of {WINDOW} cannot be true",)


@pytest.mark.parametrize("seen_at", [NOW_S + YEAR_S, -1.0, math.nan, math.inf])
def test_a_sign_of_life_of_a_time_to_come_is_none(seen_at: float) -> None:
    found, problems = sound(Remembered({WINDOW: {MINUTE: 1}}, seen_at=seen_at), NOW_S)
    assert (found.seen_at, len(problems)) == (None, 1)
    assert found.calls == {WINDOW: {MINUTE: 1}}


@pytest.mark.parametrize(
    ("until_s", "noted_s"),
    [
        (NOW_S + YEAR_S, NOW_S),
        (NOW_S + YEAR_S + 60, NOW_S + YEAR_S),
        (NOW_S + 60, NOW_S + YEAR_S),
        (math.inf, NOW_S),
        (NOW_S + 60, math.nan),
        (math.nan, NOW_S),
    ],
)
def test_a_block_that_cannot_be_true_shuts_nobody_out(until_s: float, noted_s: float) -> None:
    block = KeptBlock("rate_limited", "rate_limited", until_s, True, noted_s)
    remembered = Remembered(seen_at=NOW_S, blocks={"binance/keyless": block, "b/keyless": BLOCK})
    found, problems = sound(remembered, NOW_S)
    assert found.blocks == {"b/keyless": BLOCK}
    assert problems == ("the block of binance cannot be true",)
    assert found.seen_at == NOW_S


def test_a_block_that_is_over_is_no_problem() -> None:
    block = KeptBlock("rate_limited", "rate_limited", NOW_S - 1, True, NOW_S - 60)
    assert sound(Remembered(blocks={"a/keyless": block}), NOW_S) == (Remembered(), ())
