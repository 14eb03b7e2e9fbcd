"""Gas prices: one answer for all readers, and none of a block that cannot be current."""

from dataclasses import replace
from datetime import datetime

from backend.errors import MalformedResponse
from backend.models.answer import Answer, Source
from backend.models.gas import STANDING_S, BlockFees, GasFees, GasQuery
from backend.services.page import Page, refused_warning


class GasSource:
    """Asks the providers for gas prices, and tracks the chain's newest block.

    Each query carries that block, so that the answer of a lagging or stalled node is refused where
    it is parsed, and another provider is asked. `fetch` raises SourceUnavailable.
    """

    def __init__(self, fees: Source[GasQuery, GasFees]) -> None:
        self._fees = fees
        self._known = GasQuery()
        #: A height that the chain's growth does not explain, until a second answer confirms it.
        self._unconfirmed = GasQuery()
        #: When the known height was first seen, epoch ms; answers of the same block do not move it.
        self._unchanged_since_ms = 0
        #: Time and block of the last answer that was tracked.
        self._last: tuple[datetime, int] | None = None

    def __repr__(self) -> str:
        return f"<GasSource block {self._known.newest_block}>"

    async def fetch(self, query: GasQuery) -> Answer[GasFees]:
        answer = await self._fees.fetch(replace(self._known, is_urgent=query.is_urgent))
        self._track(answer)
        shown = self._shown(answer)
        if later := answer.late_answer:

            async def checked_later() -> Answer[GasFees]:
                """Checks it again: the first answer's block was not known when it was requested."""
                late = await later()
                try:
                    self._known.refuse_other_heads(late.data.block, _epoch_ms(late.fetched_at))
                except ValueError as error:
                    raise MalformedResponse(str(error)) from None
                self._track(late)
                return self._shown(late)

            shown = replace(shown, late_answer=checked_later)
        return shown

    def adopt(self, answer: Answer[GasFees]) -> None:
        """Goes on from an answer of an earlier run or of another process. May be called at any
        time; the same answer again changes nothing, and confirms no height."""
        if (answer.fetched_at, answer.data.block) != self._last:
            self._track(answer)

    def _track(self, answer: Answer[GasFees]) -> None:
        """Takes over the answer's block if it is higher than the known one, or if the known one is
        too old to compare with.

        A single absurd height is not taken over: all honest nodes would be refused.
        """
        self._last = answer.fetched_at, answer.data.block
        block, at_ms = answer.data.block, _epoch_ms(answer.fetched_at)
        reported = GasQuery(newest_block=block, newest_block_at_ms=at_ms)
        newest = self._known.newest_block
        if self._known.is_ahead_of_all_slots(block, at_ms) and not self._is_confirmed(block, at_ms):
            self._unconfirmed = reported
        elif newest is None or block > newest or self._known.guard_is_over(at_ms):
            if block != newest:
                self._unchanged_since_ms = at_ms
            self._known, self._unconfirmed = reported, GasQuery()

    def _is_confirmed(self, block: int, at_ms: int) -> bool:
        """True if an earlier answer had a height from which the chain may have grown to `block`."""
        if self._unconfirmed.newest_block is None or self._unconfirmed.guard_is_over(at_ms):
            return False
        try:
            self._unconfirmed.refuse_other_heads(block, at_ms)
        except ValueError:
            return False
        return not self._unconfirmed.is_ahead_of_all_slots(block, at_ms)

    def _shown(self, answer: Answer[GasFees]) -> Answer[GasFees]:
        """The answer for readers, with warnings about refused blocks and a stalled height."""
        fees, warnings = answer.data, list[str]()
        unchanged_s = (_epoch_ms(answer.fetched_at) - self._unchanged_since_ms) // 1000
        if fees.block == self._known.newest_block and unchanged_s >= STANDING_S:
            stalled = f"block {fees.block} has been the newest one for {unchanged_s} s"
            warnings.append(f"{stalled}: the chain or the nodes that were asked stand still")
        if isinstance(fees, BlockFees):
            warnings += refused_warning(fees.refused, "block")
            fees = fees.fees
        return answer.carrying(fees, *warnings) if warnings or fees is not answer.data else answer


def _epoch_ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


class GasService:
    """`/api/gas`."""

    def __init__(self, source: Source[GasQuery, GasFees]) -> None:
        self._source = source

    async def latest(self) -> Answer[GasFees]:
        """Raises GatewayError."""
        return await self._source.fetch(GasQuery())

    def page(self, fees: GasFees) -> Page[GasFees]:
        return Page(fees, 1)
