"""Gas prices: one answer for everybody, and none of a block that cannot be current."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from backend.errors import MalformedResponse
from backend.models.answer import Answer, Source
from backend.models.gas import STANDING_S, BlockFees, GasFees, GasQuery
from backend.services.market import Page
from backend.services.refused_rows import refused_warning


class GasSource:
    """Stands between the cache and the providers, and remembers the chain's newest block.

    It goes with each question, so that the answer of a node that lags or stands still is refused
    where it is parsed, and somebody else is asked.
    """

    def __init__(self, fees: Source[GasQuery, GasFees]) -> None:
        self._fees = fees
        self._known = GasQuery()
        #: A height that no growth of the chain explains, until a second answer is of it as well.
        self._claimed = GasQuery()
        #: When the known height was first seen, epoch ms; asking again does not make it younger.
        self._standing_since_ms = 0

    def __repr__(self) -> str:
        return f"<GasSource block {self._known.newest_block}>"

    async def fetch(self, query: GasQuery) -> Answer[GasFees]:
        """Raises SourceUnavailable."""
        answer = await self._fees.fetch(replace(self._known, is_urgent=query.is_urgent))
        self.recall(answer)
        return replace(self._shown(answer), late_answer=self._later(answer))

    def recall(self, answer: Answer[GasFees]) -> None:
        """An answer that was accepted, in this run or in an earlier one: its block is remembered
        as of then, if it is higher than the known one or that is too old to be a guide.

        A single absurd height is not remembered: it would keep all honest nodes out.
        """
        block, at_ms = answer.data.block, _epoch_ms(answer.fetched_at)
        told = GasQuery(newest_block=block, newest_block_at_ms=at_ms)
        newest = self._known.newest_block
        if self._known.is_ahead_of_all_slots(block, at_ms) and not self._is_claimed(block, at_ms):
            self._claimed = told
        elif newest is None or block > newest or self._known.guard_is_over(at_ms):
            if block != newest:
                self._standing_since_ms = at_ms
            self._known, self._claimed = told, GasQuery()

    def _is_claimed(self, block: int, at_ms: int) -> bool:
        """True where an answer before this one was of the same chain's growth."""
        if self._claimed.newest_block is None or self._claimed.guard_is_over(at_ms):
            return False
        try:
            self._claimed.refuse_other_heads(block, at_ms)
        except ValueError:
            return False
        return not self._claimed.is_ahead_of_all_slots(block, at_ms)

    def _later(self, answer: Answer[GasFees]) -> Callable[[], Awaitable[Answer[GasFees]]] | None:
        later = answer.late_answer
        if later is None:
            return None

        async def checked_later() -> Answer[GasFees]:
            """It was asked before the block of the first answer was known."""
            late = await later()
            try:
                self._known.refuse_other_heads(late.data.block, _epoch_ms(late.fetched_at))
            except ValueError as error:
                raise MalformedResponse(str(error)) from None
            self.recall(late)
            return self._shown(late)

        return checked_later

    def _shown(self, answer: Answer[GasFees]) -> Answer[GasFees]:
        """What readers get; blocks that were left out are a warning, and so is a height that
        stands still."""
        fees, warnings = answer.data, self._standing(answer)
        if isinstance(fees, BlockFees):
            warnings += refused_warning(fees.refused, "block")
            fees = fees.fees
        return answer.carrying(fees, *warnings) if warnings or fees is not answer.data else answer

    def _standing(self, answer: Answer[GasFees]) -> tuple[str, ...]:
        standing_s = (_epoch_ms(answer.fetched_at) - self._standing_since_ms) // 1000
        if answer.data.block != self._known.newest_block or standing_s < STANDING_S:
            return ()
        told = f"block {answer.data.block} has been the newest one for {standing_s} s"
        return (f"{told}: the chain or the nodes that were asked stand still",)


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
