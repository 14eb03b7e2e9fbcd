"""Discards saved state that cannot be true, with a message for each discarded part."""

import math
from collections.abc import Mapping
from dataclasses import replace

from backend.storage.contract import FIRST_SECOND_TICK, SavedBlock, SavedState

#: Largest difference of the machine's clock before and after a restart, in seconds.
CLOCK_SLACK_S = 2 * 3_600.0
#: Largest plausible number of calls of one account in a minute.
MAX_CALLS = 10_000_000
#: Longest plausible block, in seconds; Retry-After is limited to the same time.
MAX_BLOCK_S = 31 * 86_400.0


def discard_invalid(state: SavedState, now_s: float) -> tuple[SavedState, tuple[str, ...]]:
    """The valid part of `state` at `now_s` (epoch seconds), and what was discarded.

    A file may come from a run whose clock was wrong, or contain arbitrary figures. Calls in the
    future would count until their time has come, so they are discarded. The past is then unknown
    and counts as used at an even pace.
    """
    problems: list[str] = []
    latest_s = now_s + CLOCK_SLACK_S
    calls = {
        window: _valid_calls(window, amounts, latest_s, problems)
        for window, amounts in state.calls.items()
    }
    is_past_known = not problems
    blocks = {
        name: block
        for name, block in state.blocks.items()
        if _is_valid(name, block, now_s, problems)
    }
    seen_at = state.seen_at
    if seen_at is not None and not 0 <= seen_at <= latest_s:  # NaN is neither
        problems.append("the last heartbeat is in the future")
        is_past_known = False
    seen_at = seen_at if is_past_known else None
    return replace(state, calls=calls, blocks=blocks, seen_at=seen_at), tuple(problems)


def _valid_calls(
    window: str, amounts: Mapping[int, int], latest_s: float, problems: list[str]
) -> dict[int, int]:
    valid = {
        tick: amount
        for tick, amount in amounts.items()
        if 0 <= tick * (1 if tick >= FIRST_SECOND_TICK else 60) <= latest_s
        and 0 <= amount <= MAX_CALLS
    }
    if len(valid) < len(amounts):
        problems.append(f"{len(amounts) - len(valid)} entries of {window} cannot be true")
    return valid


def _is_valid(name: str, block: SavedBlock, now_s: float, problems: list[str]) -> bool:
    is_past = math.isfinite(block.recorded_s) and block.recorded_s <= now_s + CLOCK_SLACK_S
    left_s = block.until_s - now_s
    if is_past and left_s <= MAX_BLOCK_S:
        return left_s > 0  # one that is over is no problem
    problems.append(f"the block of {name.partition('/')[0]} cannot be true")
    return False
