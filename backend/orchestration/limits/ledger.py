"""The calls of one account in the store: written before each call, read after a restart."""

from collections.abc import Mapping
from typing import Protocol

from backend.clock import Clock
from backend.orchestration.limits.paced_window import UsageHistory


class CallStore(Protocol):
    """Stores calls. Never raises."""

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float) -> None:
        """Returns when the amounts are stored, or queued to be stored as soon as possible."""


class Unsaved(Protocol):
    def unsaved(self) -> dict[tuple[str, int], int]: ...


class Ledger:
    """Belongs to the guard of one account and plan; `name` is its key in the store."""

    def __init__(
        self,
        name: str,
        store: CallStore,
        remembered: Mapping[str, Mapping[int, int]],
        known_until: float | None,
        clock: Clock,
    ) -> None:
        """`remembered` are all calls in the store, by window; `known_until` (epoch seconds) is the
        last sign of life of the process that wrote them."""
        self._name = name
        self._store = store
        self._remembered = remembered
        self._known_until = known_until
        self._clock = clock
        self._guard: Unsaved | None = None

    def __repr__(self) -> str:
        return f"<Ledger {self._name}>"

    def history(self, window: str) -> UsageHistory:
        """What the store knows about the calls of `window`."""
        return UsageHistory(self._remembered.get(self._key(window), {}), self._known_until)

    def attach(self, guard: Unsaved) -> None:
        """`save` writes the calls of this guard from now on."""
        self._guard = guard

    async def save(self) -> None:
        """Writes what was reserved or released since the last time.

        The store keeps what it could not write yet: cancelling the caller loses nothing.
        """
        unsaved = self._guard.unsaved() if self._guard else {}
        if unsaved:
            named = {(self._key(window), at): amount for (window, at), amount in unsaved.items()}
            await self._store.add_calls(named, self._clock.now().timestamp())

    def _key(self, window: str) -> str:
        return f"{self._name}/{window}"
