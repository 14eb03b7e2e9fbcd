"""The universe of coins, and how a venue's prices are laid over it.

CoinGecko's ranked list is the universe: ids, names, ranks, supply. A venue knows none of that,
only pairs; `overlay` is the one rule by which its prices enter, whichever way they came.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace

from backend.identity.currencies import QUOTES
from backend.identity.instruments import Instrument
from backend.models.answer import Answer, Source
from backend.models.market import (
    NAMESAKE_FACTOR,
    Coin,
    Market,
    MarketQuery,
    PairTicker,
    PairTickers,
    Quotes,
    QuotesQuery,
    Ranking,
    agree,
    best_ranked,
    coins_by_rank,
    market_cap_of,
)
from backend.models.status import Spread
from backend.services.aged_rows import AgedRows
from backend.services.notes import blank_notes, kept_note, refused_notes, supply_notes
from backend.services.price_watch import PriceWatch, Verdict

#: Older figures of a single row are not served; the default of MAX_STALE_MARKET.
MAX_AGE_S = 6 * 3_600.0
#: Coins that a venue may tell of before any market is known; the largest trades 700.
MOST_TOLD = 2_000
NO_UNIVERSE = (
    "no ranked list is known yet: ids, names, ranks and market caps are null, "
    "and the order is by 24 h volume on one venue"
)


class UniverseSource:
    """Turns what providers bring into one market, and remembers the last one.

    Between two refreshes a venue may tell prices by itself: they enter by the same rule, and
    those that are newer than what a refresh brings stay.
    """

    def __init__(
        self, quotes: Source[QuotesQuery, Quotes], *, max_age_s: float = MAX_AGE_S
    ) -> None:
        self._quotes = quotes
        self._aged = AgedRows(max_age_s)
        self._market: Market | None = None
        #: The last told ticker of each coin, of one pair as long as no better quote is told.
        self._told: dict[str, PairTicker] = {}
        #: The best-ranked coin of each symbol.
        self._holders: Mapping[str, Coin] = {}
        self._teller = ""
        self._watch = PriceWatch()

    def __repr__(self) -> str:
        return f"<UniverseSource {len(self._market.coins) if self._market else 'empty'}>"

    @property
    def spread(self) -> Spread | None:
        """How far providers were apart when they last told of the same time."""
        return self._watch.spread

    async def fetch(self, query: MarketQuery) -> Answer[Market]:
        is_known = self._market is not None and self._market.ranked
        asked = QuotesQuery(universe_known=is_known, is_urgent=query.is_urgent)
        answer = await self._quotes.fetch(asked)
        return replace(self._absorbed(answer), late_answer=self._later(answer))

    def _later(self, answer: Answer[Quotes]) -> Callable[[], Awaitable[Answer[Market]]] | None:
        later = answer.late_answer
        if later is None:
            return None

        async def absorbed_later() -> Answer[Market]:
            return self._absorbed(await later())

        return absorbed_later

    def _absorbed(self, answer: Answer[Quotes]) -> Answer[Market]:
        market, warnings = absorb(self._market, answer.data, answer.sources[0], self._watch)
        self._know(market)
        told = tuple(ticker for ticker in self._told.values() if self._stands_for_its_coin(ticker))
        market = self._market = _laid_over(market, told, self._teller, self._watch)
        shown, aged = self._aged.judge(market, answer.fetched_at)
        notes = (*self._watch.take_notes(), *aged, *blank_notes(market, self._teller))
        return answer.carrying(shown, *warnings, *notes)

    def recall(self, market: Market) -> None:
        """The universe of an earlier run: a venue's prices are laid over it, not left bare."""
        self._know(market)
        self._aged.remember(market)

    def _know(self, market: Market) -> None:
        """From now on this is the market; what was told of coins that it has not is forgotten."""
        self._market = market
        self._holders = best_ranked(market.coins)
        self._told = {base: told for base, told in self._told.items() if base in self._holders}
        self._watch.forget_others({coin.key for coin in market.coins})

    def hear(self, tickers: Iterable[PairTicker], source: str) -> Market | None:
        """The market after what a venue told by itself; None where that changes nothing."""
        self._teller = source
        fresh: dict[str, PairTicker] = {}
        for ticker in tickers:
            if self._stands_for_its_coin(ticker):  # one after the other: the better quote stays
                base = ticker.instrument.base
                self._told[base] = fresh[base] = ticker
        heard = tuple(fresh.values())
        if self._market is None:
            return None
        market = _laid_over(self._market, heard, source, self._watch)
        if all(new is old for new, old in zip(market.coins, self._market.coins, strict=True)):
            return None
        self._market = market
        return self._aged.show(market)

    def _stands_for_its_coin(self, ticker: PairTicker) -> bool:
        """The pair that a refresh found; before one did, the best quote's that was told."""
        instrument = ticker.instrument
        known = self._market.instruments if self._market else None
        if known is not None:
            holder = self._holders.get(instrument.base)
            return holder is not None and instrument in known.get(holder.key, ())
        told = self._told.get(instrument.base)
        if told is None:
            return self._has_room_for(instrument.base)
        return QUOTES.index(instrument.quote) <= QUOTES.index(told.instrument.quote)

    def _has_room_for(self, base: str) -> bool:
        """For coins of the market; before there is one, for as many as any venue trades."""
        return base in self._holders if self._market else len(self._told) < MOST_TOLD


def absorb(
    known: Market | None, quotes: Quotes, source: str, watch: PriceWatch
) -> tuple[Market, tuple[str, ...]]:
    """The market after `quotes`, with what a reader should be warned of; `watch` has more."""
    if isinstance(quotes, Ranking):
        return _ranked(known, quotes, source, watch)
    if known is None or not known.ranked:
        market = _unranked(known, quotes, source, watch)
        return market, (NO_UNIVERSE, *refused_notes(quotes))
    market = overlay(known, quotes, source, watch)
    return market, (*kept_note(market, source), *refused_notes(quotes))


def _ranked(
    known: Market | None, ranking: Ranking, source: str, watch: PriceWatch
) -> tuple[Market, tuple[str, ...]]:
    """A new universe. Rows that it brought in an absurd state, or whose price jumped with nobody
    to confirm it, stay as they were last seen."""
    before = {coin.id: coin for coin in known.coins} if known and known.ranked else {}
    listed = {coin.id for coin in ranking.coins}
    kept = [before[name] for name in ranking.refused if name in before and name not in listed]
    watch.compare((coin, before[coin.id]) for coin in ranking.coins if coin.id in before)
    listed_coins = [_watched(before.get(coin.id), coin, source, watch) for coin in ranking.coins]
    instruments = known.instruments if known and known.ranked else None
    market = Market(coins_by_rank((*listed_coins, *kept)), True, instruments)
    return market, (*refused_notes(ranking), *supply_notes(ranking))


def _watched(
    known: Coin | None, told: Coin, source: str, watch: PriceWatch, *, by_venue: bool = False
) -> Coin:
    """The row as told, or as it was while its price is held back; its rank is what is told."""
    if known is None or told.price is None:
        return told
    verdict = watch.judge(known, told.price, told.last_updated, source, by_venue=by_venue)
    if verdict is not Verdict.HELD:
        return told
    return replace(known, market_cap_rank=told.market_cap_rank)


def _laid_over(
    market: Market, told: tuple[PairTicker, ...], source: str, watch: PriceWatch
) -> Market:
    """As `overlay`, of few tickers: only a whole list decides which instruments a coin has."""
    laid = overlay(market, PairTickers(told), source, watch)
    return replace(laid, instruments=market.instruments)


def overlay(market: Market, tickers: PairTickers, source: str, watch: PriceWatch) -> Market:
    """The market with the venue's newer prices where they are surely of the same coin.

    Only the best-ranked coin of a symbol can hold its pair, and only while the pair's price
    agrees with the last known one, or a list confirms it; everybody else keeps row, source and
    `last_updated`. A pair that is off, but not by as much as a namesake's, still stands for the
    coin's candles.
    """
    compared: list[tuple[Coin, Coin]] = []
    by_base = {ticker.instrument.base: ticker for ticker in tickers.tickers}
    holders = best_ranked(market.coins)
    coins: list[Coin] = []
    instruments: dict[str, tuple[Instrument, ...]] = {}
    for coin in market.coins:
        ticker = by_base.get(coin.symbol) if holders[coin.symbol] is coin else None
        if ticker and coin.price and agree(ticker.price, coin.price, NAMESAKE_FACTOR):
            instruments[coin.key] = (ticker.instrument,)
        overlaid = _overlaid(coin, ticker, source, watch) if ticker else None
        if overlaid:
            compared.append((overlaid, coin))
        coins.append(overlaid or coin)
    watch.compare(compared)
    return Market(tuple(coins), market.ranked, instruments)


def _overlaid(coin: Coin, ticker: PairTicker, source: str, watch: PriceWatch) -> Coin | None:
    """The coin at the venue's price, None where that is another coin's, or older than ours."""
    if coin.price is None:
        return None
    if coin.last_updated is not None and ticker.closed_at <= coin.last_updated:
        return None
    verdict = watch.judge(coin, ticker.price, ticker.closed_at, source, by_venue=True)
    if verdict is Verdict.HELD:
        return None
    if verdict is Verdict.STEADY and not agree(ticker.price, coin.price):
        return None
    supply = coin.circulating_supply
    return replace(
        coin,
        price=ticker.price,
        market_cap=market_cap_of(ticker.price, supply) if supply else None,
        volume_24h=ticker.quote_volume,
        high_24h=ticker.high,
        low_24h=ticker.low,
        price_change_24h=ticker.change,
        price_change_percentage_24h=ticker.change_percentage,
        last_updated=ticker.closed_at,
        source=source,
    )


def _unranked(known: Market | None, tickers: PairTickers, source: str, watch: PriceWatch) -> Market:
    """A venue alone: its most traded coins, with all that it cannot know left unknown."""
    before = {coin.symbol: coin for coin in known.coins} if known else {}
    traded = sorted(tickers.tickers, key=_volume_order)
    coins = tuple(
        _watched(
            before.get(ticker.instrument.base), _bare(ticker, source), source, watch, by_venue=True
        )
        for ticker in traded
    )
    return Market(coins, False, {ticker.instrument.base: (ticker.instrument,) for ticker in traded})


def _volume_order(ticker: PairTicker) -> tuple[float, str]:
    return -ticker.quote_volume, ticker.instrument.base


def _bare(ticker: PairTicker, source: str) -> Coin:
    return Coin(
        id=None,
        symbol=ticker.instrument.base,
        name=None,
        image=None,
        market_cap_rank=None,
        price=ticker.price,
        market_cap=None,
        volume_24h=ticker.quote_volume,
        high_24h=ticker.high,
        low_24h=ticker.low,
        price_change_24h=ticker.change,
        price_change_percentage_24h=ticker.change_percentage,
        circulating_supply=None,
        last_updated=ticker.closed_at,
        source=source,
    )
