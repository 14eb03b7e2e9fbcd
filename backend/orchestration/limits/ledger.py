"""The calls of one account in the store: written before each call, read after a restart."""

from backend.clock import Clock
from backend.orchestration.limits.paced_window import UsageHistory
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.storage.contract import SavedState, Storage


class Ledger:
    """Belongs to the guard of one account and plan; `name` is its key in the store."""

    def __init__(
        self,
        name: str,
        store: Storage,
        saved: SavedState,
        clock: Clock,
    ) -> None:
        self._name = name
        self._store = store
        self._saved = saved
        self._clock = clock
        self._guard: RateLimitGuard | None = None

    def __repr__(self) -> str:
        return f"<Ledger {self._name}>"

    def history(self, window: str) -> UsageHistory:
        """What the store knows about the calls of `window`."""
        return UsageHistory(self._saved.calls.get(self._key(window), {}), self._saved.seen_at)

    def attach(self, guard: RateLimitGuard) -> None:
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
