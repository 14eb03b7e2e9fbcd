"""Gas prices: one answer for everybody."""

from backend.models.answer import Answer, Source
from backend.models.gas import GasFees, GasQuery
from backend.services.market import Page


class GasService:
    """`/api/gas`."""

    def __init__(self, source: Source[GasQuery, GasFees]) -> None:
        self._source = source

    async def latest(self) -> Answer[GasFees]:
        """Raises GatewayError."""
        return await self._source.fetch(GasQuery())

    def page(self, fees: GasFees) -> Page[GasFees]:
        return Page(fees, 1)
