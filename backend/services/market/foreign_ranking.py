"""Another vendor's ranked list with CoinGecko's ids."""

from collections.abc import Mapping

from backend.identity.foreign_ids import ForeignIds, ForeignName, KnownName
from backend.models.market import Coin, ForeignRanking, ListedCoin, Ranking, agree, with_fields
from backend.services.market.coin_book import CoinBook


def identified(quotes: ForeignRanking, book: CoinBook, contracts: Mapping[str, str]) -> Ranking:
    """The list with CoinGecko's ids; a row of which the id is not sure stays without one. An id is
    given once, to the best-ranked row. The picture of a known coin is kept. A row that names a
    known coin at a price that is far from the coin's is refused."""
    coins = [record.coin for record in book.records if book.ranked]
    known = (
        KnownName(coin.id, coin.symbol, coin.name, coin.price, coin.market_cap_rank)
        for coin in coins
        if coin.id
    )
    ids = ForeignIds(known, contracts, agree)
    given: set[str] = set()
    rows, refused = list[Coin](), list(quotes.refused)
    for row in quotes.listed:
        name = _name_of(row)
        coin_id = ids.id_of(name)
        if coin_id is None and (contradicted := ids.contradicted_id(name)):
            refused.append(contradicted)
        elif coin_id is None or coin_id in given:
            rows.append(row.coin)
        else:
            given.add(coin_id)
            record = book.get(coin_id)
            image = record.coin.image if record else None
            rows.append(with_fields(row.coin, id=coin_id, image=image or row.coin.image))
    return Ranking(tuple(rows), tuple(dict.fromkeys(refused)))


def _name_of(row: ListedCoin) -> ForeignName:
    coin = row.coin
    return ForeignName(
        coin.symbol, row.slug, coin.name, row.contracts, coin.price, coin.market_cap_rank
    )


def unidentified_note(ranking: Ranking, source: str) -> tuple[str, ...]:
    count = sum(coin.id is None for coin in ranking.coins)
    if not count:
        return ()
    return (f"{count} rows of {source} have no id: no evidence shows which coin of CoinGecko's",)
