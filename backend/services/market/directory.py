"""The names of the market's coins."""

from collections.abc import Iterable

from backend.models.answer import Answer, Source
from backend.models.market import Market, MarketQuery
from backend.services.market.symbols import SymbolIndex


class CoinDirectory:
    """Finds coins by what readers call them. Only `latest` may cause a call to a provider."""

    def __init__(self, source: Source[MarketQuery, Market]) -> None:
        self._source = source
        self._indexed: tuple[Market, SymbolIndex] | None = None

    def __repr__(self) -> str:
        return f"<CoinDirectory {self.known_index!r}>"

    async def latest(self) -> Answer[Market]:
        """The whole market. Raises GatewayError."""
        return await self._source.fetch(MarketQuery())

    def index(self, market: Market) -> SymbolIndex:
        """The names of `market`, built once for each refresh."""
        if self._indexed is None or self._indexed[0] is not market:
            self._indexed = market, SymbolIndex(market)
        return self._indexed[1]

    @property
    def known(self) -> Market | None:
        """The market that was indexed last; None before the first one."""
        return self._indexed[0] if self._indexed else None

    @property
    def known_index(self) -> SymbolIndex | None:
        """The names of `known`."""
        return self._indexed[1] if self._indexed else None

    def tickers(self, names: Iterable[str]) -> tuple[str, ...]:
        """The tickers of coins by any spelling; an unknown name is taken as a ticker."""
        index = self.known_index
        found = [(name, index.find(name) if index else None) for name in names]
        return tuple(known.coin.symbol if known else name.upper() for name, known in found)
