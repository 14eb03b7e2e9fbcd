"""What a transaction costs: three all-in prices in gwei, and whether their block can be current."""

from dataclasses import dataclass, field, fields
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as validated

from backend.models.answer import Query
from backend.models.numbers import STRICT

#: Ethereum makes at most one block in each slot of 12 s ...
SLOT_S = 12
#: ... and one block in this many seconds even if half of the slots are missed.
SLOWEST_BLOCK_S = 2 * SLOT_S
#: Blocks that a node may be behind the best one.
MOST_BEHIND = 3
#: A height this many blocks ahead of what the slots allow cannot be explained by our own delay.
MOST_AHEAD = 10
#: A height that was first seen this long ago is no guide to the present, in seconds. Not longer
#: than a stale answer is served, so that a chain that stands still is no outage.
GUARD_S = 300.0
#: Readers are warned of a height that has been the newest one for this long, in seconds: an honest
#: chain makes a block in each 24 s, and a node lags by three.
STANDING_S = (MOST_BEHIND + 1) * SLOWEST_BLOCK_S
#: Ethereum's most expensive day saw some thousands; more is a unit error (wei).
Gwei = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]


@validated(frozen=True, slots=True, config=STRICT)
class GasFees:
    """Gas prices in gwei to nine places, base fee included; below one is normal.

    `base_fee` is the next block's, `block` the newest one that the answer knows. `method` is
    `oracle` (a service's own estimate) or `fee_history` (computed from recent blocks).
    """

    chain: Literal["ethereum"]
    unit: Literal["gwei"]
    slow: Gwei
    average: Gwei
    fast: Gwei
    base_fee: Gwei | None
    block: Annotated[int, Field(gt=0, lt=10**12)]  # beyond, no block but a hash
    method: Literal["oracle", "fee_history"]

    @model_validator(mode="after")
    def _is_plausible(self) -> "GasFees":
        if not self.slow <= self.average <= self.fast:
            raise ValueError("slow, average and fast are not in order")
        return self


@validated(frozen=True, slots=True, config=STRICT)
class BlockFees(GasFees):
    """As GasFees, computed from blocks; `refused` names the blocks that were malformed."""

    refused: tuple[str, ...] = ()

    @property
    def fees(self) -> GasFees:
        """The fees alone, for readers."""
        return GasFees(**{each.name: getattr(self, each.name) for each in fields(GasFees)})


@dataclass(frozen=True)
class GasQuery(Query[GasFees]):
    """What does a transaction cost now?

    `newest_block` is the highest block of the answers so far, `newest_block_at_ms` when it was
    first seen (epoch ms). They guard against nodes that stand still or lag, and are no part of
    the question's identity.
    """

    category: ClassVar[str] = "gas"
    is_fixed: ClassVar[bool] = True
    newest_block: int | None = field(default=None, compare=False)
    newest_block_at_ms: int | None = field(default=None, compare=False)

    def refuse_other_heads(self, block: int, now_ms: int) -> None:
        """Raises ValueError where the chain's newest block cannot be `block` at `now_ms`.

        While the newest known block was first seen less than five minutes ago, the chain has grown
        since by at least a block in each 24 s (half of the slots missed), less the three blocks
        that a node may lag. So a node that stands still is refused after 96 s. After five minutes
        any block is accepted: no provider reported a better one, so the chain may stand still.
        """
        if self.newest_block is None or self.guard_is_over(now_ms):
            return
        least = self.newest_block + self._elapsed_s(now_ms) // SLOWEST_BLOCK_S - MOST_BEHIND
        if block < least:
            raise ValueError(f"block {block} is older than {least}")

    def is_ahead_of_all_slots(self, block: int, now_ms: int) -> bool:
        """True if the chain cannot have grown so far: either `block` or the known one is wrong,
        and a single answer does not show which."""
        if self.newest_block is None or self.guard_is_over(now_ms):
            return False
        return block > self.newest_block + 2 * self._elapsed_s(now_ms) // SLOT_S + MOST_AHEAD

    def _elapsed_s(self, now_ms: int) -> int:
        return max(0, now_ms - (self.newest_block_at_ms or now_ms)) // 1000

    def guard_is_over(self, now_ms: int) -> bool:
        """True if no block is known, or if the known one is no guide to `now_ms`: it is five
        minutes old, or lies in the future because a clock was set back."""
        at_ms = self.newest_block_at_ms
        return at_ms is None or abs(now_ms - at_ms) >= GUARD_S * 1000
