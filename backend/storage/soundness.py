"""What of the kept state can be true: the rest is set aside, and said in words."""

import math
from collections.abc import Mapping
from dataclasses import replace

from backend.storage.contract import FIRST_SECOND, KeptBlock, Remembered

#: Two clocks of one machine, before and after a restart, may differ by so much, in seconds.
CLOCK_SLACK_S = 2 * 3_600.0
#: No honest minute has more calls of one account.
MOST_CALLS = 10_000_000
#: No provider's word is longer (Retry-After is cut to as much).
LONGEST_BLOCK_S = 31 * 86_400.0


def sound(remembered: Remembered, now_s: float) -> tuple[Remembered, tuple[str, ...]]:
    """What can be true of `remembered` at `now_s` (epoch seconds), and what was set aside.

    A file may be of a run whose clock was wrong, or hold figures that nobody wrote in earnest.
    Calls of a time to come would count for as long as they lie ahead; where there are any, nothing
    is known for sure of the time before, so that it counts as spent at an even pace.
    """
    problems: list[str] = []
    latest_s = now_s + CLOCK_SLACK_S
    calls = {
        window: _sound_calls(window, amounts, latest_s, problems)
        for window, amounts in remembered.calls.items()
    }
    wrong_calls = len(problems)
    blocks = {
        name: block
        for name, block in remembered.blocks.items()
        if _is_sound(name, block, now_s, problems)
    }
    wrong_blocks = len(problems) - wrong_calls
    seen_at = remembered.seen_at
    if seen_at is not None and not 0 <= seen_at <= latest_s:  # NaN is neither
        problems.append("the last sign of life is of a time to come")
        seen_at = None
    if len(problems) > wrong_blocks:
        seen_at = None
    return replace(remembered, calls=calls, blocks=blocks, seen_at=seen_at), tuple(problems)


def _sound_calls(
    window: str, amounts: Mapping[int, int], latest_s: float, problems: list[str]
) -> dict[int, int]:
    found = {
        tick: amount
        for tick, amount in amounts.items()
        if 0 <= tick * (1 if tick >= FIRST_SECOND else 60) <= latest_s and 0 <= amount <= MOST_CALLS
    }
    if len(found) < len(amounts):
        problems.append(f"{len(amounts) - len(found)} entries of {window} cannot be true")
    return found


def _is_sound(name: str, block: KeptBlock, now_s: float, problems: list[str]) -> bool:
    is_of_now = math.isfinite(block.noted_s) and block.noted_s <= now_s + CLOCK_SLACK_S
    left_s = block.until_s - now_s
    if is_of_now and left_s <= LONGEST_BLOCK_S:
        return left_s > 0  # one that is over is no problem
    problems.append(f"the block of {name.partition('/')[0]} cannot be true")
    return False
