"""Services as they are without coins beyond the list, other currencies and sparklines."""

from typing import Any

from backend.errors import AllProvidersFailed
from backend.models.answer import Answer
from backend.models.coins import CoinList
from backend.services.currency import CurrencyService
from backend.services.market.coin_names import CoinNames
from backend.services.market.service import MarketService
from backend.services.market.symbols import CoinDirectory
from tests.clocks import EPOCH, ManualClock


class Constant:
    """A source that gives the same data to every query."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self.asked: list[Any] = []

    async def fetch(self, query: Any) -> Answer[Any]:
        self.asked.append(query)
        return Answer(self._data, "coingecko_free", EPOCH, 1.0, refresh_id=1)


class Failing:
    """A source whose providers all fail."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def fetch(self, query: Any) -> Answer[Any]:
        self.asked.append(query)
        raise AllProvidersFailed("all providers failed")


def no_names(directory: CoinDirectory) -> CoinNames:
    """No coin beyond the list is known."""
    return CoinNames(Constant(CoinList({}, {})), Failing(), directory, clock=ManualClock())


def market_service(directory: CoinDirectory) -> MarketService:
    return MarketService(directory, no_names(directory), CurrencyService(Failing()), Failing())
