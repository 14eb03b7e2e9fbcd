"""Saved state that cannot be true is discarded, and the rest is kept."""

import math

import pytest

from backend.storage.contract import SavedBlock, SavedState, discard_invalid
from tests.clocks import EPOCH

NOW_S = EPOCH.timestamp()
MINUTE, SECOND, YEAR_S = int(NOW_S // 60), int(NOW_S), 365 * 86_400.0
WINDOW = "coingecko_free/demo/month"
BLOCK = SavedBlock("rate_limited", "rate_limited", NOW_S + 60, True, NOW_S - 60)


def test_valid_state_is_unchanged() -> None:
    state = SavedState(
        {WINDOW: {0: 1, MINUTE: 3}, "etherscan/free/second": {SECOND + 4: 2}},
        {"gas/0": b"{}"},
        NOW_S - 5,
        {"binance/keyless": BLOCK},
    )
    assert discard_invalid(state, NOW_S) == (state, ())


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
def test_invalid_calls_are_discarded_and_the_past_is_unknown(tick: int, amount: int) -> None:
    state = SavedState({WINDOW: {tick: amount, MINUTE - 7: 2}}, seen_at=NOW_S - 5)
    found, problems = discard_invalid(state, NOW_S)
    assert (found.calls, found.seen_at) == ({WINDOW: {MINUTE - 7: 2}}, None)
    assert problems == (f"1 entries of {WINDOW} cannot be true",)


@pytest.mark.parametrize("seen_at", [NOW_S + YEAR_S, -1.0, math.nan, math.inf])
def test_a_heartbeat_in_the_future_is_discarded(seen_at: float) -> None:
    found, problems = discard_invalid(SavedState({WINDOW: {MINUTE: 1}}, seen_at=seen_at), NOW_S)
    assert (found.seen_at, len(problems)) == (None, 1)
    assert found.calls == {WINDOW: {MINUTE: 1}}


@pytest.mark.parametrize(
    ("until_s", "recorded_s"),
    [
        (NOW_S + YEAR_S, NOW_S),
        (NOW_S + YEAR_S + 60, NOW_S + YEAR_S),
        (NOW_S + 60, NOW_S + YEAR_S),
        (math.inf, NOW_S),
        (NOW_S + 60, math.nan),
        (math.nan, NOW_S),
    ],
)
def test_an_invalid_block_is_discarded(until_s: float, recorded_s: float) -> None:
    block = SavedBlock("rate_limited", "rate_limited", until_s, True, recorded_s)
    state = SavedState(seen_at=NOW_S, blocks={"binance/keyless": block, "b/keyless": BLOCK})
    found, problems = discard_invalid(state, NOW_S)
    assert found.blocks == {"b/keyless": BLOCK}
    assert problems == ("the block of binance cannot be true",)
    assert found.seen_at == NOW_S


def test_an_expired_block_is_not_reported() -> None:
    block = SavedBlock("rate_limited", "rate_limited", NOW_S - 1, True, NOW_S - 60)
    assert discard_invalid(SavedState(blocks={"a/keyless": block}), NOW_S) == (SavedState(), ())
