"""The source of the market: merges providers' answers and venues' tickers into one list."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from backend.identity.instruments import QUOTES, Instrument, guessed_instruments, instrument_at
from backend.models.answer import Answer, Source
from backend.models.market import (
    ForeignRanking,
    Market,
    MarketQuery,
    PairTicker,
    Quotes,
    QuotesQuery,
    Ranking,
)
from backend.models.status import Spread
from backend.services.market.coin_book import CoinBook
from backend.services.market.notes import blank_notes, expired_note
from backend.services.market.outlier_filter import OutlierFilter
from backend.services.market.overlay import absorb, lay_over

#: Figures of a row that are older than this are not served; the default of MAX_STALE_MARKET.
MAX_AGE_S = 6 * 3_600.0
#: A ranked list is asked for before venues when the last one is older than this, and again this
#: long after none was available: venues do not trade all coins, and do not know ranks.
LIST_FOR, LIST_PAUSE = timedelta(minutes=30), timedelta(minutes=5)
#: Tickers kept before any market is known; the largest venue trades 700 coins.
MOST_TICKERS = 2_000


class UniverseSource:
    """Merges providers' answers into one market, and keeps the last one.

    Between two refreshes a venue may push tickers. They are merged by the same rule, and a ticker
    that is newer than a refreshed row stays. `fetch` raises SourceUnavailable.
    """

    def __init__(
        self,
        quotes: Source[QuotesQuery, Quotes],
        *,
        max_age_s: float = MAX_AGE_S,
        contracts: Callable[[], Mapping[str, str]] = dict,
        on_page: Callable[[Answer[Any]], None] = lambda _page: None,
    ) -> None:
        """`contracts` gives the coin ids by address of the tokens' contracts, as far as known.
        `on_page` receives the rows of each ranked list that are an answer to COIN_PAGE."""
        self._quotes = quotes
        self._contracts = contracts
        self._on_page = on_page
        self._book = CoinBook()
        self._max_age = timedelta(seconds=max_age_s)
        self._outliers = OutlierFilter()
        #: When a newer ranked list is due, and when the last answer came; None before the first.
        self._list_due_at: datetime | None = None
        self._answered_at: datetime | None = None
        #: The last pushed ticker of each base, in the preferred quote currency.
        self._pushed: dict[str, PairTicker] = {}
        #: The venues that have pushed tickers.
        self._push_venues: set[str] = set()

    def __repr__(self) -> str:
        return f"<UniverseSource {len(self._book.records) or 'empty'}>"

    @property
    def spread(self) -> Spread | None:
        """How far providers were apart when they last reported the same time."""
        return self._outliers.spread

    async def fetch(self, query: MarketQuery) -> Answer[Market]:
        is_list_due = self._is_list_due()
        is_known = self._book.ranked and not is_list_due
        asked = QuotesQuery(universe_known=is_known, is_urgent=query.is_urgent)
        answer = await self._quotes.fetch(asked)
        if is_list_due:
            self._list_due_at = answer.fetched_at + LIST_PAUSE  # unless it is a list
        return answer.converted(self._absorbed)

    def _absorbed(self, answer: Answer[Quotes]) -> Answer[Market]:
        self._note_times(answer)
        if isinstance(answer.data, Ranking) and answer.data.page is not None:
            self._on_page(answer.carrying(answer.data.page))
        source, contracts = answer.sources[0], self._contracts()
        warnings = absorb(self._book, answer.data, source, self._outliers, contracts)
        self._lay_pushed_over()
        hidden = self._book.expire(answer.fetched_at, self._max_age)
        return answer.carrying(
            self._book.visible_market(),
            *warnings,
            *self._outliers.take_notes(),
            *expired_note(hidden, self._max_age),
            *blank_notes(self._book.market, self._push_venues),
        )

    def _note_times(self, answer: Answer[Quotes]) -> None:
        self._answered_at = answer.fetched_at
        is_list = isinstance(answer.data, Ranking | ForeignRanking)
        if is_list or self._list_due_at is None:
            self._list_due_at = answer.fetched_at + LIST_FOR

    def _is_list_due(self) -> bool:
        due_at, at = self._list_due_at, self._answered_at
        return due_at is not None and at is not None and at >= due_at

    def instruments_at(self, venue: str) -> tuple[Instrument, ...]:
        """The instruments that probably trade the market's coins in dollars at `venue`."""
        symbols = dict.fromkeys(record.coin.symbol for record in self._book.records)
        found = (instrument_at(venue, guessed_instruments(symbol)) for symbol in symbols)
        return tuple(instrument for instrument in found if instrument)

    def adopt(self, answer: Answer[Market]) -> None:
        """Goes on from an answer of an earlier run or of another process. May be called at any
        time, and again with the same answer: newer pushed tickers stay."""
        self._book.adopt(answer.data)
        self._lay_pushed_over()

    def _lay_pushed_over(self) -> None:
        """Applies the pushed tickers that are newer than the market's rows. Drops those of coins
        that are no longer in the market."""
        known = self._book.best_ranked
        self._pushed = {base: one for base, one in self._pushed.items() if known(base)}
        self._outliers.forget_others(self._book)
        counting = [ticker for ticker in self._pushed.values() if self._is_accepted(ticker)]
        lay_over(self._book, counting, self._outliers)

    def apply_ticks(self, tickers: Iterable[PairTicker]) -> Market | None:
        """The market with pushed tickers laid over it; None where no row changed."""
        fresh: dict[str, PairTicker] = {}
        for ticker in tickers:
            instrument = ticker.instrument
            if instrument.venue not in self._push_venues:
                self._push_venues.add(instrument.venue)
            if self._is_accepted(ticker):  # one after the other: the preferred quote stays
                self._pushed[instrument.base] = fresh[instrument.base] = ticker
        has_changed = lay_over(self._book, fresh.values(), self._outliers)
        return self._book.visible_market() if has_changed else None

    def _is_accepted(self, ticker: PairTicker) -> bool:
        """True if the venue's list names the instrument for its coin. A venue without a list needs
        only the coin's price, in its preferred quote currency."""
        instrument, book = ticker.instrument, self._book
        record = book.best.get(instrument.base)
        if instrument.venue in book.venues:
            known = book.instruments or {}
            return record is not None and instrument in known.get(record.coin.key, ())
        pushed = self._pushed.get(instrument.base)
        if pushed is None:
            # Room for the coins of the market; before there is one, for as many as a venue trades.
            return record is not None if book.records else len(self._pushed) < MOST_TICKERS
        if pushed.instrument is instrument or pushed.instrument.venue != instrument.venue:
            return True
        return QUOTES.index(instrument.quote) <= QUOTES.index(pushed.instrument.quote)
