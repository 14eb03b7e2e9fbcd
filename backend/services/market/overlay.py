"""How providers' answers enter the coin book.

A ranked list is the universe: ids, names, ranks, supply. Ids are CoinGecko's; `identified` finds
them for the list of another vendor. A venue knows only instruments; `lay_over` is the one rule by
which its prices enter, from a list or from pushed tickers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from backend.identity.instruments import DOLLAR, Instrument
from backend.models.market import (
    COINGECKO_RANKS,
    NAMESAKE_FACTOR,
    SAME_PRICE_FACTOR,
    Coin,
    ForeignRanking,
    Market,
    PairTicker,
    PairTickers,
    Quotes,
    Ranking,
    agree,
    coins_by_rank,
    market_cap_of,
    with_valid_fields,
)
from backend.services.market.coin_book import CoinBook, CoinRecord
from backend.services.market.foreign_ranking import identified, unidentified_note
from backend.services.market.notes import kept_note, refused_notes
from backend.services.market.outlier_filter import Origin, OutlierFilter, Verdict

NO_UNIVERSE = (
    "no ranked list is known yet: ids, names, ranks and market caps are null, "
    "and the order is by 24 h volume on one venue"
)
#: Changes over 1 h and over 7 d are of the last ranked list. A venue's newer price stands beside
#: them for so long: later they would be those of another time than the price.
LISTED_1H_FOR, LISTED_7D_FOR = timedelta(minutes=10), timedelta(hours=6)
#: A dollar coin that is off the dollar by more than this share prices no coin in dollars.
DEPEGGED = 0.01


def absorb(
    book: CoinBook,
    quotes: Quotes,
    source: str,
    outliers: OutlierFilter,
    contracts: Mapping[str, str],
) -> tuple[str, ...]:
    """Brings a provider's answer into the book; returns the warnings for readers.

    `contracts` maps the addresses of tokens' contracts to CoinGecko's ids.
    """
    if isinstance(quotes, ForeignRanking):
        ranking = identified(quotes, book, contracts)
        _absorb_ranking(book, ranking, source, outliers)
        return (*refused_notes(ranking), *unidentified_note(ranking, source))
    if isinstance(quotes, Ranking):
        _absorb_ranking(book, quotes, COINGECKO_RANKS, outliers)
        return refused_notes(quotes)
    if not book.ranked:
        _absorb_unranked(book, quotes, outliers)
        return (NO_UNIVERSE, *refused_notes(quotes))
    overlay(book, quotes, source, outliers)
    return (*kept_note(book.market, source), *refused_notes(quotes))


def _absorb_ranking(
    book: CoinBook, ranking: Ranking, rank_source: str, outliers: OutlierFilter
) -> None:
    """A new universe. Rows that were refused as implausible, or whose price is quarantined, stay
    as they were last seen, but without a rank that another vendor gave: ranks do not mix."""
    listed = {coin.id for coin in ranking.coins}
    missing = [
        record.coin
        for name in ranking.refused
        if book.ranked and name not in listed and (record := book.get(name)) and record.coin.id
    ]
    if rank_source != book.rank_source:
        missing = [replace(coin, market_cap_rank=None) for coin in missing]
    known = [_known(book, coin) for coin in ranking.coins]
    pairs = list(zip(known, ranking.coins, strict=True))
    outliers.compare((coin, record.coin) for record, coin in pairs if record)
    rows = [_accepted(record, coin, outliers) for record, coin in pairs]
    coins = coins_by_rank((*rows, *missing))
    instruments = book.instruments if book.ranked else None
    venues = book.venues if book.ranked else frozenset[str]()
    book.replace(Market(coins, True, instruments, venues, rank_source))


def _known(book: CoinBook, coin: Coin) -> CoinRecord | None:
    """What the ranked book knows of the coin. A row without an id has only its ticker for a key,
    which others share: it is the same coin if it has the same name, too."""
    record = book.get(coin.key) if book.ranked else None
    if record is None or coin.id:
        return record
    is_same = record.coin.id is None and record.coin.name == coin.name
    return record if is_same else None


def _accepted(
    known: CoinRecord | None,
    reported: Coin,
    outliers: OutlierFilter,
    kind: Origin = Origin.LIST,
) -> Coin:
    """The row as reported; as it was, with the new rank, while its price is quarantined."""
    if known is None or reported.price is None:
        return reported
    source, at = reported.source, reported.last_updated
    verdict = outliers.judge(known, reported.price, at, source, kind)
    if verdict is not Verdict.QUARANTINED:
        return reported
    return replace(known.coin, market_cap_rank=reported.market_cap_rank)


def overlay(book: CoinBook, quotes: PairTickers, source: str, outliers: OutlierFilter) -> None:
    """Lays a venue's whole list over the book, and decides which instruments trade which coin.

    An instrument is the coin's once its price was near the coin's; then it stays so while its price
    is not a namesake's. A euro or a pound is a dollar within much less than both factors.
    """
    instruments: dict[str, tuple[Instrument, ...]] = {}
    for tickers in (quotes.tickers, *_by_currency(quotes.others)):
        for record, ticker in _holders(book, tickers):
            coin = record.coin
            is_known = _is_known(book, coin, ticker.instrument)
            factor = NAMESAKE_FACTOR if is_known else SAME_PRICE_FACTOR
            if coin.price and agree(ticker.price, coin.price, factor):
                others = instruments.get(coin.key, ())
                instruments[coin.key] = (*others, ticker.instrument)
    for key, known in (book.instruments or {}).items():
        elsewhere = tuple(one for one in known if one.venue != source)
        if elsewhere:
            instruments[key] = (*instruments.get(key, ()), *elsewhere)
    book.instruments, book.venues = instruments, book.venues | {source}
    lay_over(book, quotes.tickers, outliers)


def _by_currency(tickers: Iterable[PairTicker]) -> Iterable[list[PairTicker]]:
    found: dict[str, list[PairTicker]] = {}
    for ticker in tickers:
        found.setdefault(ticker.instrument.currency, []).append(ticker)
    return found.values()


def lay_over(book: CoinBook, tickers: Iterable[PairTicker], outliers: OutlierFilter) -> bool:
    """Enters newer prices of a venue where they are surely of the same coin; True where any did.

    Only the best-ranked coin of a symbol takes the price of an instrument, and only while that
    agrees with the last known price, or a list confirms it. All other rows stay as they are.
    """
    compared: list[tuple[Coin, Coin]] = []
    has_changed = False
    for record, ticker in _holders(book, tickers, in_dollars=True):
        before = record.coin
        is_known = _is_known(book, before, ticker.instrument)
        after = _overlaid(record, ticker, outliers, is_known=is_known)
        if after is not None:
            book.update(record, after)
            has_changed = True
            if before.source != after.source:
                compared.append((after, before))
    if compared:
        outliers.compare(compared)
    return has_changed


def _is_known(book: CoinBook, coin: Coin, instrument: Instrument) -> bool:
    """True if the instrument's price has been near the coin's."""
    return instrument in (book.instruments or {}).get(coin.key, ())


def _is_worth_a_dollar(book: CoinBook, quote: str) -> bool:
    """False for a dollar coin whose own last known price is off the dollar."""
    record = book.best.get(quote) if quote != DOLLAR and book.ranked else None
    price = record.coin.price if record else None
    return price is None or -DEPEGGED <= price - 1 <= DEPEGGED


def _holders(
    book: CoinBook, tickers: Iterable[PairTicker], *, in_dollars: bool = False
) -> list[tuple[CoinRecord, PairTicker]]:
    """The coins that the tickers are of, best rank first; of two tickers of a coin the last. With
    `in_dollars` without those whose quote is not worth a dollar."""
    found: dict[int, tuple[CoinRecord, PairTicker]] = {}
    is_worth: dict[str, bool] = {}
    for ticker in tickers:
        instrument = ticker.instrument
        if in_dollars and instrument.quote not in is_worth:
            is_worth[instrument.quote] = _is_worth_a_dollar(book, instrument.quote)
        record = book.best.get(instrument.base)
        if record is not None and (not in_dollars or is_worth[instrument.quote]):
            found[record.place] = record, ticker
    return [found[place] for place in sorted(found)]


def _overlaid(
    record: CoinRecord, ticker: PairTicker, outliers: OutlierFilter, *, is_known: bool
) -> Coin | None:
    """The coin at the venue's price; None where that is another coin's, or older than ours.

    `is_known`: the instrument's price has been near the coin's.
    """
    coin, source = record.coin, ticker.instrument.venue
    is_newer = coin.last_updated is None or ticker.closed_at > coin.last_updated
    if coin.price is None or not is_newer:
        return None
    kind = Origin.KNOWN_PAIR if is_known else Origin.NEW_PAIR
    verdict = outliers.judge(record, ticker.price, ticker.closed_at, source, kind)
    is_doubtful = verdict is Verdict.STEADY and not agree(ticker.price, coin.price)
    if verdict is Verdict.QUARANTINED or is_doubtful:
        return None
    hour, week = coin.price_change_percentage_1h, coin.price_change_percentage_7d
    age = ticker.closed_at - record.listed_at if record.listed_at else timedelta.max
    # Without a known supply, that which the list's own market cap and price mean.
    supply = coin.circulating_supply or (coin.market_cap or 0.0) / coin.price
    return with_valid_fields(  # the ticker is valid, and the market cap is computed from both
        coin,
        price=ticker.price,
        market_cap=market_cap_of(ticker.price, supply) if supply else None,
        volume_24h=coin.volume_24h if ticker.quote_volume is None else ticker.quote_volume,
        high_24h=ticker.high,
        low_24h=ticker.low,
        price_change_24h=ticker.change,
        price_change_percentage_24h=ticker.change_percentage,
        price_change_percentage_1h=hour if age <= LISTED_1H_FOR else None,
        price_change_percentage_7d=week if age <= LISTED_7D_FOR else None,
        last_updated=ticker.closed_at,
        source=source,
    )


def _absorb_unranked(book: CoinBook, quotes: PairTickers, outliers: OutlierFilter) -> None:
    """A venue alone: its most traded coins, with all that it cannot know left unknown. Coins of
    unknown volume come last."""
    traded = sorted(quotes.tickers, key=_by_volume)
    rows = (_bare(ticker) for ticker in traded)
    coins = tuple(_accepted(book.get(row.key), row, outliers, Origin.KNOWN_PAIR) for row in rows)
    instruments: dict[str, tuple[Instrument, ...]] = {
        ticker.instrument.base: (ticker.instrument,) for ticker in traded
    }
    prices = {ticker.instrument.base: ticker.price for ticker in traded}
    for ticker in quotes.others:
        base, price = ticker.instrument.base, prices.get(ticker.instrument.base)
        if price and agree(ticker.price, price, SAME_PRICE_FACTOR):
            instruments[base] = (*instruments[base], ticker.instrument)
    venues = frozenset(ticker.instrument.venue for ticker in traded)
    book.replace(Market(coins, False, instruments, venues))


def _by_volume(ticker: PairTicker) -> tuple[bool, float, str]:
    volume = ticker.quote_volume
    return volume is None, -(volume or 0.0), ticker.instrument.base


def _bare(ticker: PairTicker) -> Coin:
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
        source=ticker.instrument.venue,
    )
