"""How providers' answers enter the coin book.

CoinGecko's ranked list is the universe: ids, names, ranks, supply. A venue knows only instruments;
`lay_over` is the one rule by which its prices enter, from a list or from pushed tickers.
"""

from collections.abc import Iterable
from dataclasses import replace

from backend.identity.instruments import Instrument
from backend.models.market import (
    NAMESAKE_FACTOR,
    Coin,
    Market,
    PairTicker,
    PairTickers,
    Quotes,
    Ranking,
    agree,
    coins_by_rank,
    market_cap_of,
)
from backend.services.market.coin_book import CoinBook, CoinRecord
from backend.services.market.notes import kept_note, refused_notes
from backend.services.market.outlier_filter import OutlierFilter, Verdict

NO_UNIVERSE = (
    "no ranked list is known yet: ids, names, ranks and market caps are null, "
    "and the order is by 24 h volume on one venue"
)


def absorb(book: CoinBook, quotes: Quotes, source: str, outliers: OutlierFilter) -> tuple[str, ...]:
    """Brings a provider's answer into the book; returns the warnings for readers."""
    if isinstance(quotes, Ranking):
        _absorb_ranking(book, quotes, source, outliers)
        return refused_notes(quotes)
    if not book.ranked:
        _absorb_unranked(book, quotes, outliers)
        return (NO_UNIVERSE, *refused_notes(quotes))
    overlay(book, quotes, source, outliers)
    return (*kept_note(book.market, source), *refused_notes(quotes))


def _absorb_ranking(book: CoinBook, ranking: Ranking, source: str, outliers: OutlierFilter) -> None:
    """A new universe. Rows that were refused as implausible, or whose price is quarantined, stay
    as they were last seen."""
    known = book.get if book.ranked else lambda _key: None
    listed = {coin.id for coin in ranking.coins}
    missing = [record for name in ranking.refused if name not in listed and (record := known(name))]
    outliers.compare((coin, record.coin) for coin in ranking.coins if (record := known(coin.key)))
    rows = [_accepted(known(coin.key), coin, outliers) for coin in ranking.coins]
    coins = coins_by_rank((*rows, *(record.coin for record in missing)))
    book.replace(Market(coins, True, book.instruments if book.ranked else None))


def _accepted(
    known: CoinRecord | None, reported: Coin, outliers: OutlierFilter, *, is_venue: bool = False
) -> Coin:
    """The row as reported; as it was, with the new rank, while its price is quarantined."""
    if known is None or reported.price is None:
        return reported
    source, at = reported.source, reported.last_updated
    verdict = outliers.judge(known, reported.price, at, source, is_venue=is_venue)
    if verdict is not Verdict.QUARANTINED:
        return reported
    return replace(known.coin, market_cap_rank=reported.market_cap_rank)


def overlay(book: CoinBook, quotes: PairTickers, source: str, outliers: OutlierFilter) -> None:
    """Lays a venue's whole list over the book, and decides which instruments trade which coin.

    An instrument whose price is off still trades the coin, unless the price is a namesake's.
    """
    instruments: dict[str, tuple[Instrument, ...]] = {}
    for record, ticker in _holders(book, quotes.tickers):
        coin = record.coin
        if coin.price and agree(ticker.price, coin.price, NAMESAKE_FACTOR):
            instruments[coin.key] = (ticker.instrument,)
    for key, known in (book.instruments or {}).items():
        elsewhere = tuple(one for one in known if one.venue != source)
        if elsewhere:
            instruments[key] = (*instruments.get(key, ()), *elsewhere)
    book.instruments = instruments
    lay_over(book, quotes.tickers, outliers)


def lay_over(book: CoinBook, tickers: Iterable[PairTicker], outliers: OutlierFilter) -> bool:
    """Enters newer prices of a venue where they are surely of the same coin; True where any did.

    Only the best-ranked coin of a symbol takes the price of an instrument, and only while that
    agrees with the last known price, or a list confirms it. All other rows stay as they are.
    """
    compared: list[tuple[Coin, Coin]] = []
    for record, ticker in _holders(book, tickers):
        before = record.coin
        after = _overlaid(record, ticker, outliers)
        if after is not None:
            book.update(record, after)
            compared.append((after, before))
    outliers.compare(compared)
    return bool(compared)


def _holders(book: CoinBook, tickers: Iterable[PairTicker]) -> list[tuple[CoinRecord, PairTicker]]:
    """The coins that the tickers are of, best rank first; of two tickers of a coin the last."""
    found: dict[int, tuple[CoinRecord, PairTicker]] = {}
    for ticker in tickers:
        record = book.best_ranked(ticker.instrument.base)
        if record is not None:
            found[record.place] = record, ticker
    return [found[place] for place in sorted(found)]


def _overlaid(record: CoinRecord, ticker: PairTicker, outliers: OutlierFilter) -> Coin | None:
    """The coin at the venue's price; None where that is another coin's, or older than ours."""
    coin, source = record.coin, ticker.instrument.venue
    is_newer = coin.last_updated is None or ticker.closed_at > coin.last_updated
    if coin.price is None or not is_newer:
        return None
    verdict = outliers.judge(record, ticker.price, ticker.closed_at, source, is_venue=True)
    is_doubtful = verdict is Verdict.STEADY and not agree(ticker.price, coin.price)
    if verdict is Verdict.QUARANTINED or is_doubtful:
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


def _absorb_unranked(book: CoinBook, quotes: PairTickers, outliers: OutlierFilter) -> None:
    """A venue alone: its most traded coins, with all that it cannot know left unknown."""
    traded = sorted(quotes.tickers, key=lambda one: (-one.quote_volume, one.instrument.base))
    rows = (_bare(ticker) for ticker in traded)
    coins = tuple(_accepted(book.get(row.key), row, outliers, is_venue=True) for row in rows)
    instruments = {ticker.instrument.base: (ticker.instrument,) for ticker in traded}
    book.replace(Market(coins, False, instruments))


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
