"""The calls of one account in the store: written before each call, read after a restart."""

from backend.clock import Clock
from backend.orchestration.limits.cluster_guard import ClusterGuard
from backend.orchestration.limits.paced_window import UsageHistory, assumed_of
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.storage.contract import SavedState, Storage

#: The limits of an account: of this process alone, or of a cluster.
Guard = RateLimitGuard | ClusterGuard


class Ledger:
    """Writes the calls of `guard`, that of one account and plan; `name` is its key in the store."""

    def __init__(
        self, name: str, guard: Guard, store: Storage, clock: Clock, *, is_new_key: bool = False
    ) -> None:
        self.guard = guard
        self.name = name
        #: Whether its key was not used before the first call that is saved.
        self.is_new_key = is_new_key
        self._store = store
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Ledger {self.name}>"

    async def save(self) -> bool:
        """Writes what was reserved or released since the last time. False if the calls must not be
        made: a store that several processes share has refused them.

        The store keeps what it could not write yet: cancelling the caller loses nothing.
        """
        unsaved = self.guard.unsaved()
        if unsaved:
            named = {(f"{self.name}/{window}", tick): n for (window, tick), n in unsaved.items()}
            return await self._store.add_calls(named, self._clock.now().timestamp())
        return True


def saved_usage(
    saved: SavedState, name: str, window: str, *, is_new_key: bool = False
) -> UsageHistory:
    """What a ledger of this name has saved about the calls of `window`."""
    calls = saved.calls.get(f"{name}/{window}", {})
    assumed = saved.calls.get(f"{name}/{assumed_of(window)}", {})
    return UsageHistory(calls, saved.seen_at, assumed, is_new_key)
