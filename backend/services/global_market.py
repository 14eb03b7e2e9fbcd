"""The figures of the whole market: one provider's answer for all readers."""

from backend.errors import GatewayError
from backend.identity.instruments import DOLLAR
from backend.models.answer import Answer, Source
from backend.models.global_market import GlobalMarket, GlobalQuery
from backend.services.currency import Conversion, CurrencyService
from backend.services.page import Page


class GlobalMarketService:
    """`/api/global`."""

    def __init__(
        self, source: Source[GlobalQuery, GlobalMarket], currencies: CurrencyService
    ) -> None:
        self._source, self._currencies = source, currencies

    async def latest(self) -> Answer[GlobalMarket]:
        """Raises GatewayError."""
        return await self._source.fetch(GlobalQuery())

    async def asked(
        self, currency: str
    ) -> tuple[Answer[GlobalMarket], Conversion | None, tuple[int, ...]]:
        """The figures, their conversion to `currency`, and the refresh of its rate. Raises
        GatewayError. The answer may be reused only while the rate may."""
        answer = await self.latest()
        if currency == DOLLAR:
            return answer, None, ()
        try:
            rates, conversion = await self._currencies.conversion(currency)
        except GatewayError:
            return answer.depending_on(None), None, ()
        return answer.depending_on(rates.validity), conversion, (rates.refresh_id,)

    def page(
        self, figures: GlobalMarket, currency: str = DOLLAR, conversion: Conversion | None = None
    ) -> Page[GlobalMarket]:
        """In a currency without a rate the amounts are unknown, and a warning says so."""
        if currency == DOLLAR:
            return Page(figures, 1, (), DOLLAR)
        if conversion is None:
            warning = f"amounts are unknown: no provider has a rate of {currency}"
            return Page(figures.without_amounts(), 1, (warning,), currency)
        converted = conversion.whole_market(figures)
        return Page(converted, 1, conversion.notes_on_change(), currency, conversion)
