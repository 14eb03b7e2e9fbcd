"""The figures of the whole market: one provider's answer for all readers."""

from backend.models.answer import Answer, Source
from backend.models.global_market import GlobalMarket, GlobalQuery
from backend.services.page import Page


class GlobalMarketService:
    """`/api/global`."""

    def __init__(self, source: Source[GlobalQuery, GlobalMarket]) -> None:
        self._source = source

    async def latest(self) -> Answer[GlobalMarket]:
        """Raises GatewayError."""
        return await self._source.fetch(GlobalQuery())

    def page(self, figures: GlobalMarket) -> Page[GlobalMarket]:
        return Page(figures, 1)
