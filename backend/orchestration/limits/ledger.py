"""One account's windows on disk: told before each call, and remembered after a restart."""

from collections.abc import Mapping
from typing import Protocol

from backend.clock import Clock
from backend.orchestration.limits.paced_window import UsageHistory


class CallStore(Protocol):
    """Where calls are kept. Never raises."""

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float) -> None:
        """Kept when this returns, or as soon as it can be."""


class Unsaved(Protocol):
    def unsaved(self) -> dict[tuple[str, int], int]: ...


class Ledger:
    """Of the guard of one account and plan, by its `name`."""

    def __init__(
        self,
        name: str,
        store: CallStore,
        remembered: Mapping[str, Mapping[int, int]],
        known_until: float | None,
        clock: Clock,
    ) -> None:
        """`remembered` are all calls that the store knows, by window; `known_until` (epoch
        seconds) is the last sign of life of whoever wrote them."""
        self._name = name
        self._store = store
        self._remembered = remembered
        self._known_until = known_until
        self._clock = clock
        self._guard: Unsaved | None = None

    def __repr__(self) -> str:
        return f"<Ledger {self._name}>"

    def past(self, window: str) -> UsageHistory:
        return UsageHistory(self._remembered.get(self._key(window), {}), self._known_until)

    def keep(self, guard: Unsaved) -> None:
        """From now on what `save` saves is this guard's."""
        self._guard = guard

    async def save(self) -> None:
        """All that was reserved or given back since the last time; nothing where nothing was.

        The store owes what it could not write at once: a caller that leaves loses nothing.
        """
        unsaved = self._guard.unsaved() if self._guard else {}
        if unsaved:
            named = {(self._key(window), at): amount for (window, at), amount in unsaved.items()}
            await self._store.add_calls(named, self._clock.now().timestamp())

    def _key(self, window: str) -> str:
        return f"{self._name}/{window}"
