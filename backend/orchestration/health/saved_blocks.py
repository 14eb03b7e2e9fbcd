"""Blocks that are kept over a restart: of providers that refused us, and of refused keys."""

from collections.abc import Mapping
from hashlib import blake2b

from pydantic import SecretStr

from backend.clock import Clock
from backend.models.status import OFF, ProviderState
from backend.orchestration.health.circuit_breaker import Block
from backend.storage.contract import SavedBlock, Storage

#: States that last long enough to be kept; a cooldown only where the provider set the wait.
KEPT_STATES = frozenset(ProviderState) - {ProviderState.ACTIVE, ProviderState.COOLDOWN, *OFF}


class SavedBlocks:
    """Blocks by name. Their times are on the monotonic clock of this run."""

    def __init__(self, store: Storage, known: Mapping[str, SavedBlock], clock: Clock) -> None:
        self._store = store
        self._known = dict(known)
        self._clock = clock

    def __repr__(self) -> str:
        return f"<SavedBlocks {len(self._known)}>"

    def add(self, known: Mapping[str, SavedBlock]) -> None:
        """Blocks that another process saved."""
        self._known |= known

    def recall(self, name: str) -> Block | None:
        """The block that an earlier run saved, unless it is over."""
        kept = self._known.get(name)
        if kept is None or kept.state not in {*KEPT_STATES, ProviderState.COOLDOWN}:
            return None
        left_s = kept.until_s - self._clock.now().timestamp()
        if left_s <= 0:
            return None
        until = self._clock.monotonic() + left_s
        return Block(ProviderState(kept.state), kept.reason, until, kept.from_provider)

    def save(self, name: str, block: Block | None) -> None:
        """Saves the block in force; None removes the saved one."""
        if block is None or not (block.state in KEPT_STATES or block.is_provider_set):
            if self._known.pop(name, None):
                self._store.save_block(name, None)
            return
        now_s = self._clock.now().timestamp()
        until_s = now_s + block.until - self._clock.monotonic()
        saved = SavedBlock(block.state, block.reason, until_s, block.is_provider_set, now_s)
        self._known[name] = saved
        self._store.save_block(name, saved)


def block_key(provider: str, key: SecretStr | None) -> str:
    """Contains a digest of the key: the refusal of an old key does not concern a new one."""
    if key is None:
        return f"{provider}/keyless"
    digest = blake2b(key.get_secret_value().encode(), digest_size=8).hexdigest()
    return f"{provider}/{digest}"
