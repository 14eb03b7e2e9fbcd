"""Discards saved state that cannot be true, with a message for each discarded part."""

import math
from dataclasses import replace

from backend.storage.contract import FIRST_SECOND_TICK, SavedState

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
    calls = {}
    for window, amounts in state.calls.items():
        calls[window] = {
            tick: amount
            for tick, amount in amounts.items()
            if 0 <= tick * (1 if tick >= FIRST_SECOND_TICK else 60) <= latest_s
            and 0 <= amount <= MAX_CALLS
        }
        if wrong := len(amounts) - len(calls[window]):
            problems.append(f"{wrong} entries of {window} cannot be true")
    seen_at = None if problems else state.seen_at
    blocks = {}
    for name, block in state.blocks.items():
        is_past = math.isfinite(block.recorded_s) and block.recorded_s <= latest_s
        if not is_past or not block.until_s - now_s <= MAX_BLOCK_S:  # true for NaN
            problems.append(f"the block of {name.partition('/')[0]} cannot be true")
        elif block.until_s > now_s:  # one that is over is no problem
            blocks[name] = block
    if state.seen_at is not None and not 0 <= state.seen_at <= latest_s:  # true for NaN
        problems.append("the last heartbeat is in the future")
        seen_at = None
    return replace(state, calls=calls, blocks=blocks, seen_at=seen_at), tuple(problems)
