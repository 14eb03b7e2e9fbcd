"""What a storage does, and the one that does nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Remembered:
    """What earlier runs left. `calls`: amounts by window and minute of the epoch.

    All calls between `known_since` and `seen_at` (epoch seconds) are among them; before and after
    there may have been others, everywhere where these are None.
    """

    calls: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    answers: Mapping[str, bytes] = field(default_factory=dict)
    known_since: float | None = None
    seen_at: float | None = None


class Storage(Protocol):
    """Where state is kept. No method raises; what cannot be kept is told once in the log."""

    async def remembered(self) -> Remembered: ...

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float) -> None:
        """Amounts by window and minute, added to those before; also a sign of life."""

    async def keep_answer(self, question: str, body: bytes, now_s: float) -> None:
        """In place of what was kept for `question` before."""

    async def forget_before(self, minute: int, answers_before_s: float) -> None: ...
    async def sign_of_life(self, now_s: float) -> None: ...
    async def aclose(self) -> None: ...


class NoStorage:
    """Memory only: each start knows nothing of the time before."""

    async def remembered(self) -> Remembered:
        return Remembered()

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float) -> None: ...
    async def keep_answer(self, question: str, body: bytes, now_s: float) -> None: ...
    async def forget_before(self, minute: int, answers_before_s: float) -> None: ...
    async def sign_of_life(self, now_s: float) -> None: ...
    async def aclose(self) -> None: ...
