"""What a storage saves, its interface, and the storage that saves nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field

#: Ticks from here on are seconds of the epoch, smaller ones are minutes: no second of this century
#: is smaller, and no minute before the year 3871 is larger.
FIRST_SECOND_TICK = 1_000_000_000


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

    async def load(self) -> SavedState:
        return SavedState()

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float) -> None:
        """Adds amounts by window and tick to the saved ones. Includes a heartbeat."""

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


class NoStorage(Storage):
    """Saves nothing."""
