"""Candles: many readers' views become few distinct queries, whose answers are cut to the view."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from backend.clock import Clock
from backend.errors import AllProvidersFailed, DeadlineExceeded, InvalidParameter, Unsupported
from backend.identity.instruments import DOLLAR, Instrument, guessed_instruments
from backend.models.answer import Answer, Source
from backend.models.market import Market, agree
from backend.models.ohlc import Candle, Candles, Interval, OhlcQuery
from backend.services.instants import EARLIEST_MS
from backend.services.market.coin_names import CoinNames
from backend.services.market.service import Charge
from backend.services.market.symbols import CoinDirectory, Resolution, SymbolIndex
from backend.services.page import Page, few_of

#: Candles that one query fetches: the newest of them serve every smaller limit.
BLOCK = 1_000
#: Most candles in one range.
MOST_CANDLES = 10_000
DEFAULT_LIMIT, MOST_LIMIT = 200, 1_000
#: Units of a client's limit that one page of candles costs: the weight of the call at Binance.
UNITS_PER_CALL = 2
#: A forming candle that is stale for longer than this is not served, in seconds.
MAX_STALE_OPEN_S = 900.0


@dataclass(frozen=True, slots=True)
class OhlcView:
    """A reader's choice of candles. Both bounds are inclusive, in epoch ms of the candle's open.

    `currency` is that of the books from which the candles come.
    """

    interval: Interval
    limit: int | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    include_open: bool = True
    currency: str = DOLLAR


class CandleSource(Source[OhlcQuery, Candles], Protocol):
    async def costs_a_call(self, query: OhlcQuery) -> bool: ...


class OhlcService:
    """`/api/market/ohlc`: resolves the symbol, fetches candles, cuts them to the view."""

    def __init__(
        self,
        source: CandleSource,
        coins: CoinDirectory,
        names: CoinNames,
        *,
        clock: Clock,
        deadline_s: float,
        able: Callable[[OhlcQuery], Collection[str]] = lambda _query: (),
    ) -> None:
        """`able`: the providers that are in a state to answer a query, by name."""
        self._source = source
        self._coins = coins
        self._names = names
        self._clock = clock
        self._deadline_s = deadline_s
        self._able = able

    async def candles(
        self, symbol: str, view: OhlcView, charge: Charge | None = None
    ) -> Answer[Candles]:
        """One provider's candles, among them those of the view. Raises GatewayError.

        The answer has the warnings about the symbol. `charge` is called with the cost of the query
        before a provider is called; it may raise.
        """
        return (await self.asked(symbol, view, charge=charge))[1]

    async def asked(
        self,
        symbol: str,
        view: OhlcView,
        *,
        with_known: bool = False,
        charge: Charge | None = None,
    ) -> tuple[OhlcQuery, Answer[Candles]]:
        """As `candles`, with the query that was fetched.

        `with_known` resolves the symbol by the known names, without a refresh, if there are any.
        """
        start_ms, end_ms = self._block_range(view)
        try:
            async with asyncio.timeout(self._deadline_s):
                index, latest = self._coins.known_index if with_known else None, None
                if index is None:
                    latest = await self._coins.latest()
                    index = self._coins.index(latest.data)
                found, latest = await self._resolved(symbol, index, latest)
                coin = found.coin
                query = OhlcQuery(
                    coin.id,
                    _instruments(found, index.market, view.currency),
                    view.interval,
                    start_ms,
                    end_ms,
                    coin.price,
                    view.currency,
                )
                if charge and await self._source.costs_a_call(query):
                    charge(cost_of(query))
                answer = await self._fetch(query, index.market)
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within {self._deadline_s:g} s") from None
        notes = (*found.warnings, *_notes(answer, coin.price))
        # The content of a range depends on the time of the request. Known names have no validity.
        is_repeatable = view.start_ms is None and view.end_ms is None
        answer = answer.depending_on(latest.validity if latest and is_repeatable else None)
        return query, replace(answer, warnings=(*notes, *answer.warnings))

    async def _fetch(self, query: OhlcQuery, market: Market) -> Answer[Candles]:
        """Raises Unsupported where no venue has a book of the coin in the query's currency, or
        where providers have other intervals of it only."""
        try:
            return await self._source.fetch(query)
        except AllProvidersFailed as error:
            if not error.is_unsupported:
                raise
            if intervals := self._available_intervals(query, error):
                raise Unsupported("interval", str(query.interval), intervals) from None
            if query.currency == DOLLAR:
                raise
            known = (market.instruments or {}).get(query.coin_id or "", ())
            available = {DOLLAR, *(one.currency for one in known)} - {query.currency}
            codes = sorted(code.lower() for code in available)
            raise Unsupported("currency", query.currency.lower(), codes) from None

    def _available_intervals(self, query: OhlcQuery, error: AllProvidersFailed) -> list[str]:
        """Of the coin, at providers other than those that were asked and do not have it."""
        asked = {attempt.provider for attempt in error.tried}
        others = (replace(query, interval=interval) for interval in Interval)
        return [str(one.interval) for one in others if set(self._able(one)) - asked]

    async def _resolved(
        self, symbol: str, index: SymbolIndex, latest: Answer[Market] | None
    ) -> tuple[Resolution, Answer[Any] | None]:
        """The coin, also beyond the list, and the answer on which the candles depend besides."""
        known = index.find(symbol)
        if known or not index.market.ranked:
            return known or index.resolve(symbol), latest
        answer, found = await self._names.resolve(symbol)
        is_alone = found.is_best_ranked and index.find(found.coin.symbol) is None
        return replace(found, is_best_ranked=is_alone), answer

    def cut(self, answer: Answer[Candles], view: OhlcView) -> Page[tuple[Candle, ...]]:
        """The rows of `view`, oldest first: from `start` on if it is given, else the newest."""
        with_open = view.include_open and not self.open_is_too_old(answer)
        rows: Sequence[Candle] = answer.data.candles
        if not with_open or view.start_ms is not None or view.end_ms is not None:
            start, end = view.start_ms or 0, view.end_ms if view.end_ms is not None else 1 << 62
            rows = [
                candle
                for candle in rows
                if start <= candle.timestamp <= end and (candle.closed or with_open)
            ]
        total, limit = len(rows), _limit(view)
        rows = rows[:limit] if view.start_ms is not None else rows[-limit:]
        return Page(tuple(rows), total, _shortage(answer, view), view.currency)

    def open_is_too_old(self, answer: Answer[Candles]) -> bool:
        """True if the forming candle is too stale to be served. Closed candles never change."""
        return answer.stale and answer.age_s > MAX_STALE_OPEN_S

    def _block_range(self, view: OhlcView) -> tuple[int | None, int | None]:
        """The range to fetch, in whole blocks; None for the newest. Raises InvalidParameter."""
        now_ms = int(self._clock.now().timestamp() * 1000)
        start_ms = self._first_open(view, now_ms)
        newest = view.interval.open_of(now_ms)
        if start_ms is None or start_ms > newest - (BLOCK - 1) * view.interval.step_ms:
            return None, None
        span = BLOCK * view.interval.step_ms
        end_ms = min(view.end_ms if view.end_ms is not None else now_ms, now_ms)
        if view.start_ms is not None and _limit(view) <= MOST_LIMIT:
            end_ms = min(end_ms, start_ms + _limit(view) * view.interval.step_ms)
        if end_ms - start_ms > MOST_CANDLES * view.interval.step_ms:
            raise InvalidParameter("start", f"the range holds more than {MOST_CANDLES} candles")
        return start_ms // span * span, (end_ms // span + 1) * span

    def _first_open(self, view: OhlcView, now_ms: int) -> int | None:
        """The open of the view's first candle; None if the view has no bounds."""
        start_ms, end_ms = view.start_ms, view.end_ms
        if start_ms is not None and start_ms > now_ms:
            raise InvalidParameter("start", "lies in the future")
        if start_ms is not None and end_ms is not None and start_ms > end_ms:
            raise InvalidParameter("start", "lies behind end")
        if start_ms is None and end_ms is not None:
            start_ms = end_ms - _limit(view) * view.interval.step_ms
        return None if start_ms is None else max(start_ms, EARLIEST_MS)


def cost_of(query: OhlcQuery) -> int:
    """Cost in units of a client's limit: the weight of the most calls that a venue needs."""
    if query.start_ms is None or query.end_ms is None:
        return UNITS_PER_CALL
    pages = -(-(query.end_ms - query.start_ms) // (BLOCK * query.interval.step_ms))
    return UNITS_PER_CALL * (1 + pages)


def _limit(view: OhlcView) -> int:
    """The view's limit; by default all candles of a closed range, else 200."""
    if view.limit is not None:
        return view.limit
    is_range = view.start_ms is not None and view.end_ms is not None
    return MOST_CANDLES if is_range else DEFAULT_LIMIT


def _instruments(found: Resolution, market: Market, currency: str) -> tuple[Instrument, ...]:
    """The coin's instruments in `currency`: those verified by price, and a guess for each venue
    that has not listed its own. The candles of a guess must confirm it.

    They are in a fixed order: a guess that a list confirms does not change the query.
    """
    if not found.is_best_ranked:
        return ()
    known = (market.instruments or {}).get(found.coin.key, ())
    guesses = guessed_instruments(found.coin.symbol, currency, market.venues)
    found_all = (*(one for one in known if one.currency == currency), *guesses)
    return tuple(sorted(found_all, key=lambda one: one.venue))


def _notes(answer: Answer[Candles], known_price: float | None) -> tuple[str, ...]:
    """Warnings about the quote currency, the volume, the latest price and refused candles."""
    series = answer.data
    if series.instrument:
        symbol, quote = series.instrument.symbol, series.instrument.quote
        is_coin = quote != series.instrument.currency
        meaning = "a dollar coin is taken for the dollar" if is_coin else f"they are in {quote}"
        notes = [f"prices are those of {symbol}: {meaning}"]
    else:
        notes = [f"{answer.sources[0]} has no volume, and its candles can be 15 minutes old"]
    is_newest = bool(series.candles) and not series.candles[-1].closed
    if is_newest and known_price and not agree(series.candles[-1].close, known_price):
        notes.append("the newest close is far from the coin's last known price")
    if series.refused:
        count, named = len(series.refused), ", ".join(few_of(series.refused, "more"))
        candles = "1 candle was" if count == 1 else f"{count} candles were"
        notes.append(f"{candles} refused as malformed: {named}")
    return tuple(notes)


def _shortage(answer: Answer[Candles], view: OhlcView) -> tuple[str, ...]:
    """A warning if the provider's history begins after the view does."""
    candles = answer.data.candles
    if not candles:
        return (f"{answer.source} has no {answer.data.interval} candles in this range",)
    if view.start_ms is None and view.end_ms is None:
        is_short = len(candles) < _limit(view)
    else:
        is_short = view.start_ms is not None and view.start_ms < candles[0].timestamp
    if not is_short:
        return ()
    first = datetime.fromtimestamp(candles[0].timestamp / 1000, UTC)
    return (
        f"{answer.source} has {answer.data.interval} candles only since {first:%Y-%m-%dT%H:%MZ}",
    )
