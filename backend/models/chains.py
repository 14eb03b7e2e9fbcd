"""The chains whose fees are served: how their blocks follow each other and how their fees work.

Sources: the chains' documentation, and observations of 2026. Times between blocks are in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Literal

ChainName = Literal[
    "ethereum", "base", "arbitrum", "optimism", "polygon", "bnb", "avalanche", "bitcoin"
]
Unit = Literal["gwei", "sat/vB"]

#: Time by which an honest node may be behind the newest block, in seconds.
LAG_S = 36
#: Blocks of this much time beyond the fastest growth cannot be explained by our own delay, in
#: seconds; and the least number of such blocks.
LEAD_S, LEAST_LEAD = 120, 10


@dataclass(frozen=True, slots=True)
class Chain:
    """The traits of one chain.

    `block_s` is the usual time between two blocks. Averaged over some minutes it is at least
    `fastest_block_s` and at most `slowest_block_s`. `guard_s`: a height that was first seen this
    long ago is no guide to the present. `refresh_s`: the shortest useful interval of refreshes.
    """

    name: ChainName
    block_s: float
    fastest_block_s: float
    slowest_block_s: float
    #: EIP-155; None for a chain that is not an EVM chain.
    chain_id: int | None = None
    #: Blocks in one `eth_feeHistory`: 30 s or more. One block has about 250 bytes.
    history_blocks: int = 0
    #: The chain orders transactions by their tips. Without it a tip buys nothing.
    has_tips: bool = True
    #: The base fee may be 0, so that the tip is the whole price.
    is_base_fee_free: bool = False
    #: `eth_feeHistory` ends with the base fee of the next block; else `eth_baseFee` has it.
    history_has_next: bool = True
    unit: Unit = "gwei"
    guard_s: float = 300.0
    refresh_s: float = 0.0

    @property
    def most_behind(self) -> int:
        """Blocks that an honest node may be behind the best one."""
        return max(1, ceil(LAG_S / self.block_s))

    @property
    def most_ahead(self) -> int:
        """A height this many blocks ahead of the fastest growth needs a second answer."""
        return max(LEAST_LEAD, ceil(LEAD_S / self.block_s))

    @property
    def standing_s(self) -> float:
        """A height that is the newest one for this long is a reason for a warning."""
        return (self.most_behind + 1) * self.slowest_block_s


#: In the order of the documents; the first one is the default.
CHAINS: Mapping[str, Chain] = {
    chain.name: chain
    for chain in (
        # At most one block in each slot of 12 s; half of the slots may be missed.
        Chain("ethereum", 12, 6, 24, chain_id=1, history_blocks=20),
        Chain("base", 2, 1, 4, chain_id=8453, history_blocks=30),
        # A block when there are transactions, up to four a second. The sequencer ignores tips.
        Chain("arbitrum", 0.25, 0.125, 1, chain_id=42161, history_blocks=120, has_tips=False),
        Chain("optimism", 2, 1, 4, chain_id=10, history_blocks=30),
        Chain("polygon", 2, 0.75, 4, chain_id=137, history_blocks=30),
        # Below a second since 2026, with 0.45 s as the target.
        Chain("bnb", 0.5, 0.2, 1.5, chain_id=56, history_blocks=80, is_base_fee_free=True),
        # A block when there are transactions.
        Chain("avalanche", 1.5, 0.5, 5, chain_id=43114, history_blocks=40, history_has_next=False),
        # Blocks come at random, on average every 10 min: pauses of an hour happen every few days,
        # pauses of 90 min some times a year. So a height may be the best one or the one before,
        # after 90 min only the best one, and after three hours any.
        Chain("bitcoin", 600, 150, 5_400, unit="sat/vB", guard_s=10_800, refresh_s=60),
    )
}
DEFAULT_CHAIN: ChainName = "ethereum"
