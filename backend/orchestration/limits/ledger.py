"""The calls of one account in the store: written before each call, read after a restart."""

from backend.clock import Clock
from backend.orchestration.limits.paced_window import UsageHistory
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.storage.contract import SavedState, Storage


class Ledger:
    """Writes the calls of `guard`, that of one account and plan; `name` is its key in the store."""

    def __init__(self, name: str, guard: RateLimitGuard, store: Storage, clock: Clock) -> None:
        self.guard = guard
        self._name = name
        self._store = store
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Ledger {self._name}>"

    async def save(self) -> None:
        """Writes what was reserved or released since the last time.

        The store keeps what it could not write yet: cancelling the caller loses nothing.
        """
        unsaved = self.guard.unsaved()
        if unsaved:
            named = {(f"{self._name}/{window}", tick): n for (window, tick), n in unsaved.items()}
            await self._store.add_calls(named, self._clock.now().timestamp())


def saved_usage(saved: SavedState, name: str, window: str) -> UsageHistory:
    """What a ledger of this name has saved about the calls of `window`."""
    return UsageHistory(saved.calls.get(f"{name}/{window}", {}), saved.seen_at)
