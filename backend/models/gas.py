"""What a transaction costs: three all-in prices, and whether their block can be current."""

from dataclasses import dataclass, field, fields
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as validated

from backend.models.answer import Query
from backend.models.chains import CHAINS, DEFAULT_CHAIN, Chain, ChainName, Unit
from backend.models.numbers import STRICT

#: The most expensive days saw some thousands of gwei or sat/vB; more is an error of the unit.
MAX_PRICE = 1_000_000
Price = Annotated[float, Field(gt=0, le=MAX_PRICE, allow_inf_nan=False)]
BaseFee = Annotated[float, Field(ge=0, le=MAX_PRICE, allow_inf_nan=False)]


@validated(frozen=True, slots=True, config=STRICT)
class GasFees:
    """Prices in the chain's unit, base fee included: gwei to nine places, or sat/vB. Values below
    one are normal.

    `base_fee` is the next block's, None where the chain has none; `block` is the newest one that
    the answer knows. `method` is `oracle` (a service's own estimate), `fee_history` (computed from
    recent blocks) or `mempool` (estimated from waiting transactions).
    """

    chain: ChainName
    unit: Unit
    slow: Price
    average: Price
    fast: Price
    base_fee: BaseFee | None
    block: Annotated[int, Field(gt=0, lt=10**12)]  # beyond, no block but a hash
    method: Literal["oracle", "fee_history", "mempool"]

    @model_validator(mode="after")
    def _is_plausible(self) -> "GasFees":
        if not self.slow <= self.average <= self.fast:
            raise ValueError("slow, average and fast are not in order")
        chain = CHAINS[self.chain]
        if self.unit != chain.unit:
            raise ValueError(f"the unit of {self.chain} is {chain.unit}")
        if self.base_fee == 0 and not chain.is_base_fee_free:
            raise ValueError(f"{self.chain} has no base fee of 0")
        return self


@validated(frozen=True, slots=True, config=STRICT)
class BlockFees(GasFees):
    """As GasFees, computed from blocks; `refused` names the blocks that were malformed.

    `is_last_base_fee`: the node does not know the next block's base fee, so that `base_fee` is the
    newest block's.
    """

    refused: tuple[str, ...] = ()
    is_last_base_fee: bool = False

    @property
    def fees(self) -> GasFees:
        """The fees alone, for readers."""
        return GasFees(**{each.name: getattr(self, each.name) for each in fields(GasFees)})


@dataclass(frozen=True)
class GasQuery(Query[GasFees]):
    """What does a transaction cost now on `chain`?

    `newest_block` is the highest block of the answers so far, `newest_block_at_ms` when it was
    first seen (epoch ms). They guard against nodes that stand still or lag, and are no part of
    the question's identity.
    """

    category: ClassVar[str] = "gas"
    is_fixed: ClassVar[bool] = True
    chain: ChainName = DEFAULT_CHAIN
    newest_block: int | None = field(default=None, compare=False)
    newest_block_at_ms: int | None = field(default=None, compare=False)

    @property
    def traits(self) -> Chain:
        return CHAINS[self.chain]

    @property
    def subject(self) -> str:
        return f"{self.category} on {self.chain}"

    def refuse_other_heads(self, block: int, now_ms: int) -> None:
        """Raises ValueError where the chain's newest block cannot be `block` at `now_ms`.

        Until `guard_s` after the newest known block was first seen, the chain has grown by at least
        a block in each `slowest_block_s`, less the blocks that a node may lag. So on Ethereum a
        node that stands still is refused after 96 s. After `guard_s` any block is accepted: no
        provider reported a better one, so the chain may stand still.
        """
        if self.newest_block is None or self.guard_is_over(now_ms):
            return
        grown = int(self._elapsed_s(now_ms) // self.traits.slowest_block_s)
        least = self.newest_block + grown - self.traits.most_behind
        if block < least:
            raise ValueError(f"block {block} is older than {least}")

    def is_ahead_of_all_slots(self, block: int, now_ms: int) -> bool:
        """True if the chain cannot have grown so far: either `block` or the known one is wrong,
        and a single answer does not show which."""
        if self.newest_block is None or self.guard_is_over(now_ms):
            return False
        grown = int(self._elapsed_s(now_ms) // self.traits.fastest_block_s)
        return block > self.newest_block + grown + self.traits.most_ahead

    def _elapsed_s(self, now_ms: int) -> int:
        return max(0, now_ms - (self.newest_block_at_ms or now_ms)) // 1000

    def guard_is_over(self, now_ms: int) -> bool:
        """True if no block is known, or if the known one is no guide to `now_ms`: it is `guard_s`
        old, or lies in the future because a clock was set back."""
        at_ms = self.newest_block_at_ms
        return at_ms is None or abs(now_ms - at_ms) >= self.traits.guard_s * 1000
