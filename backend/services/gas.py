"""Fees of transactions: one answer a chain for all readers, and none of a block that cannot be
current."""

from dataclasses import replace
from datetime import datetime

from backend.errors import MalformedResponse
from backend.models.answer import Answer, Source
from backend.models.chains import CHAINS, DEFAULT_CHAIN, ChainName
from backend.models.gas import BlockFees, GasFees, GasQuery
from backend.services.page import Page, refused_warning


class GasSource:
    """Asks the providers for fees, and tracks the newest block of each chain.

    Each query carries that block, so that the answer of a lagging or stalled node is refused where
    it is parsed, and another provider is asked. `fetch` raises SourceUnavailable.
    """

    def __init__(self, fees: Source[GasQuery, GasFees]) -> None:
        self._fees = fees
        self._heads = {name: ChainHead(chain.name) for name, chain in CHAINS.items()}

    def __repr__(self) -> str:
        return f"<GasSource {list(self._heads.values())}>"

    async def fetch(self, query: GasQuery) -> Answer[GasFees]:
        head = self._heads[query.chain]
        answer = await self._fees.fetch(replace(head.known, is_urgent=query.is_urgent))

        def tracked(answer: Answer[GasFees]) -> Answer[GasFees]:
            head.track(answer)
            return head.shown(answer)

        def checked(late: Answer[GasFees]) -> Answer[GasFees]:
            """Checks it again: the first answer's block was not known when it was requested."""
            try:
                head.known.refuse_other_heads(late.data.block, _epoch_ms(late.fetched_at))
            except ValueError as error:
                raise MalformedResponse(str(error)) from None
            return tracked(late)

        return answer.converted(tracked, checked)

    def adopt(self, answer: Answer[GasFees]) -> None:
        """Goes on from an answer of an earlier run or of another process. May be called at any
        time; the same answer again changes nothing, and confirms no height."""
        self._heads[answer.data.chain].adopt(answer)


class ChainHead:
    """The newest known block of one chain."""

    def __init__(self, chain: ChainName) -> None:
        self.known = GasQuery(chain=chain)
        #: A height that the chain's growth does not explain, until a second answer confirms it.
        self._unconfirmed = GasQuery(chain=chain)
        #: When the known height was first seen, epoch ms; answers of the same block do not move it.
        self._unchanged_since_ms = 0
        #: Time and block of the last answer that was tracked.
        self._last: tuple[datetime, int] | None = None

    def __repr__(self) -> str:
        return f"<ChainHead {self.known.chain} block {self.known.newest_block}>"

    def adopt(self, answer: Answer[GasFees]) -> None:
        if (answer.fetched_at, answer.data.block) != self._last:
            self.track(answer)

    def track(self, answer: Answer[GasFees]) -> None:
        """Takes over the answer's block if it is higher than the known one, or if the known one is
        too old to compare with.

        A single absurd height is not taken over: all honest nodes would be refused.
        """
        self._last = answer.fetched_at, answer.data.block
        block, at_ms = answer.data.block, _epoch_ms(answer.fetched_at)
        reported = replace(self.known, newest_block=block, newest_block_at_ms=at_ms)
        newest = self.known.newest_block
        if self.known.is_ahead_of_all_slots(block, at_ms) and not self._is_confirmed(block, at_ms):
            self._unconfirmed = reported
        elif newest is None or block > newest or self.known.guard_is_over(at_ms):
            if block != newest:
                self._unchanged_since_ms = at_ms
            self.known, self._unconfirmed = reported, GasQuery(chain=reported.chain)

    def _is_confirmed(self, block: int, at_ms: int) -> bool:
        """True if an earlier answer had a height from which the chain may have grown to `block`."""
        if self._unconfirmed.newest_block is None or self._unconfirmed.guard_is_over(at_ms):
            return False
        try:
            self._unconfirmed.refuse_other_heads(block, at_ms)
        except ValueError:
            return False
        return not self._unconfirmed.is_ahead_of_all_slots(block, at_ms)

    def shown(self, answer: Answer[GasFees]) -> Answer[GasFees]:
        """The answer for readers, with warnings about refused blocks, a stalled height and a base
        fee that is not the next block's."""
        fees, warnings = answer.data, list[str]()
        unchanged_s = (_epoch_ms(answer.fetched_at) - self._unchanged_since_ms) // 1000
        is_newest = fees.block == self.known.newest_block
        if is_newest and unchanged_s >= self.known.traits.standing_s:
            stalled = f"block {fees.block} has been the newest one for {unchanged_s} s"
            warnings.append(f"{stalled}: the chain or the nodes that were asked stand still")
        if isinstance(fees, BlockFees):
            warnings += refused_warning(fees.refused, "block")
            if fees.is_last_base_fee:
                warnings.append(f"base_fee is that of block {fees.block}, not of the next one")
            fees = fees.fees
        return answer.carrying(fees, *warnings) if warnings or fees is not answer.data else answer


def _epoch_ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


class GasService:
    """`/api/gas`."""

    def __init__(self, source: Source[GasQuery, GasFees]) -> None:
        self._source = source

    async def latest(self, chain: ChainName = DEFAULT_CHAIN) -> Answer[GasFees]:
        """Raises GatewayError."""
        return await self._source.fetch(self.query(chain))

    def query(self, chain: ChainName) -> GasQuery:
        return GasQuery(chain=chain)

    def page(self, fees: GasFees) -> Page[GasFees]:
        return Page(fees, 1)
