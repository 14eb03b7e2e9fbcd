"""What a storage saves, which of it cannot be true, and the interface of a storage."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

#: Ticks from here on are seconds of the epoch, smaller ones are minutes: no second of this century
#: is smaller, and no minute before the year 3871 is larger.
FIRST_SECOND_TICK = 1_000_000_000
#: Largest difference of the machine's clock before and after a restart, in seconds.
CLOCK_SLACK_S = 2 * 3_600.0
#: Largest plausible number of calls of one account in a minute.
MAX_CALLS = 10_000_000
#: Longest plausible block, in seconds; Retry-After is limited to the same time.
MAX_BLOCK_S = 31 * 86_400.0


@dataclass(frozen=True, slots=True)
class SavedBlock:
    """A provider or a key that must not be called before `until_s`, recorded at `recorded_s` (both
    in epoch seconds). `state` and `reason` are those of the API; `from_provider`: the provider
    itself stated the time."""

    state: str
    reason: str
    until_s: float
    from_provider: bool
    recorded_s: float


@dataclass(frozen=True, slots=True)
class SavedState:
    """What earlier runs saved.

    `calls` are amounts by window and tick. A tick is the minute of the epoch, or its second for
    windows of at most an hour. All calls until `seen_at` (epoch seconds) are among them; None if
    that is not known. `blocks` are by the name of the provider or key.
    """

    calls: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    answers: Mapping[str, bytes] = field(default_factory=dict)
    seen_at: float | None = None
    blocks: Mapping[str, SavedBlock] = field(default_factory=dict)


class Storage:
    """Saves state across restarts. No method raises; a failure is logged once.

    This class is the interface; its methods save nothing.
    """

    @property
    def saves_answers(self) -> bool:
        """False while answers given to `save_answer` would not be written anywhere."""
        return True

    async def load(self) -> SavedState:
        return SavedState()

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float | None) -> bool:
        """Adds amounts by window and tick to the saved ones. Includes a heartbeat, unless `now_s`
        is None.

        False if the calls must not be made: several processes share the storage, and it refused
        them. A failure of a file does not forbid a call.
        """
        return True

    async def save_answer(
        self, key: str, body: bytes, now_s: float, max_answers: int | None = None
    ) -> bool:
        """Replaces the answer of this key. False if it could not be saved.

        A key is `<category>/<query>`. Of each category the `max_answers` newest answers stay.
        """
        return True

    def save_block(self, name: str, block: SavedBlock | None) -> None:
        """Starts to save a block, or to delete it if it is None. Does not wait."""

    async def delete_before(self, minute: int, second: int, answers_before_s: float) -> None:
        """Deletes calls with older ticks of minutes or seconds, and older answers."""

    async def heartbeat(self, now_s: float) -> None:
        """Records that the gateway runs and that all its calls are saved."""

    async def aclose(self) -> None:
        """Ends all writes."""


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
