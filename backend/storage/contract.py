"""What a storage does, and the one that does nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

#: Ticks from here on are seconds of the epoch, smaller ones are minutes: no second of this century
#: is smaller, and no minute before the year 3871 is larger.
FIRST_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class KeptBlock:
    """A provider or a key that must not be asked before `until_s`; noted at `noted_s` (both epoch
    seconds). `state` and `reason` are the contract's; `was_told`: in the provider's own word."""

    state: str
    reason: str
    until_s: float
    was_told: bool
    noted_s: float


@dataclass(frozen=True, slots=True)
class Remembered:
    """What earlier runs left. `calls`: amounts by window and tick, which is the minute of the
    epoch, or of a window of at most an hour its second; `blocks` by the name of who is blocked.

    All calls between `known_since` and `seen_at` (epoch seconds) are among them; before and after
    there may have been others, everywhere where these are None.
    """

    calls: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    answers: Mapping[str, bytes] = field(default_factory=dict)
    known_since: float | None = None
    seen_at: float | None = None
    blocks: Mapping[str, KeptBlock] = field(default_factory=dict)


class Storage(Protocol):
    """Where state is kept. No method raises; what cannot be kept is told once in the log."""

    async def remembered(self) -> Remembered: ...

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float) -> None:
        """Amounts by window and tick, added to those before; also a sign of life."""

    async def keep_answer(
        self, question: str, body: bytes, now_s: float, most: int | None = None
    ) -> bool:
        """Replaces what was kept for `question` before. False: it could not be kept now.

        A question is `<category>/<query>`; of each category the `most` newest answers stay.
        """
        ...

    def keep_block(self, name: str, block: KeptBlock | None) -> None:
        """Begins to keep it, or to forget it where it is None; waits for nothing."""

    async def forget_before(self, minute: int, second: int, answers_before_s: float) -> None:
        """Calls of windows with ticks of minutes and of seconds, and answers."""

    async def sign_of_life(self, now_s: float) -> None: ...
    async def aclose(self) -> None: ...


class NoStorage:
    """Memory only: each start knows nothing of the time before."""

    async def remembered(self) -> Remembered:
        return Remembered()

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float) -> None: ...
    async def keep_answer(
        self, question: str, body: bytes, now_s: float, most: int | None = None
    ) -> bool:
        return True

    def keep_block(self, name: str, block: KeptBlock | None) -> None: ...
    async def forget_before(self, minute: int, second: int, answers_before_s: float) -> None: ...
    async def sign_of_life(self, now_s: float) -> None: ...
    async def aclose(self) -> None: ...
