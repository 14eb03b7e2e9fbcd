"""Blocks that are kept over a restart: of providers that refused us, and of refused keys."""

from collections.abc import Mapping
from datetime import timedelta
from hashlib import blake2b
from typing import Protocol

from pydantic import SecretStr

from backend.clock import Clock
from backend.models.status import ProviderState
from backend.orchestration.health.circuit_breaker import Block
from backend.storage import SavedBlock

#: States that last long enough to be kept; a cooldown only where the provider set the wait.
KEPT_STATES = frozenset(
    {
        ProviderState.RATE_LIMITED,
        ProviderState.QUOTA_EXHAUSTED,
        ProviderState.AUTH_FAILED,
        ProviderState.GEO_BLOCKED,
    }
)


class BlockStore(Protocol):
    """Stores blocks. Never raises."""

    def save_block(self, name: str, block: SavedBlock | None) -> None: ...


class SavedBlocks:
    """Blocks by name. Their times are on the monotonic clock of this run."""

    def __init__(
        self, store: BlockStore | None, known: Mapping[str, SavedBlock], clock: Clock
    ) -> None:
        self._store = store
        self._known = dict(known)
        self._clock = clock

    def __repr__(self) -> str:
        return f"<SavedBlocks {len(self._known)}>"

    def recall(self, name: str) -> Block | None:
        """The block that an earlier run saved, unless it is over."""
        kept = self._known.get(name)
        if kept is None or kept.state not in {*KEPT_STATES, ProviderState.COOLDOWN}:
            return None
        left_s = kept.until_s - self._clock.now().timestamp()
        until = self._clock.monotonic() + left_s
        return (
            Block(ProviderState(kept.state), kept.reason, until, kept.from_provider)
            if left_s > 0
            else None
        )

    def save(self, name: str, block: Block | None) -> None:
        """Saves the block in force; None removes the saved one."""
        if block is not None and block.state not in KEPT_STATES and not block.is_provider_set:
            block = None
        if block is None and name not in self._known:
            return
        kept = None if block is None else self._kept(block)
        if kept is None:
            del self._known[name]
        else:
            self._known[name] = kept
        if self._store:
            self._store.save_block(name, kept)

    def _kept(self, block: Block) -> SavedBlock:
        now = self._clock.now()
        until = now + timedelta(seconds=block.until - self._clock.monotonic())
        return SavedBlock(
            block.state, block.reason, until.timestamp(), block.is_provider_set, now.timestamp()
        )


def block_key(provider: str, key: SecretStr | None) -> str:
    """Contains a digest of the key: the refusal of an old key does not concern a new one."""
    if key is None:
        return f"{provider}/keyless"
    digest = blake2b(key.get_secret_value().encode(), digest_size=8).hexdigest()
    return f"{provider}/{digest}"
