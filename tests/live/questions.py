"""One small query for each kind of query, as the gateway would send it."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from backend.categories import CATEGORIES, HELPERS
from backend.identity.instruments import guessed_instruments
from backend.models.answer import Query
from backend.models.chains import CHAINS
from backend.models.gas import GasQuery
from backend.models.ohlc import DAY, Interval, OhlcQuery
from backend.providers.adapter import Context, Operation

#: A price of Bitcoin in USD for a run in which no provider told one. Only its order of magnitude
#: counts: a venue's candles may differ by a factor of 10.
ROUGH_PRICE = 60_000.0
CANDLES = OhlcQuery("bitcoin", guessed_instruments("BTC"), Interval.H1, reference_price=ROUGH_PRICE)


def queries_of(operation: Operation, context: Context) -> list[Query[Any]]:
    """The queries to send to the operation: of each group the first one that it serves."""
    found = []
    for group in _groups(operation.query_type, context.now_ms):
        served = (query for query in group if operation.serves(query, context))
        found += list(islice(served, 1))
    return found


def _groups(kind: type[Query[Any]], now_ms: int) -> Iterator[tuple[Query[Any], ...]]:
    if issubclass(kind, GasQuery):
        yield from ((GasQuery(chain=chain.name),) for chain in CHAINS.values())
    elif issubclass(kind, OhlcQuery):
        end_ms = Interval.D1.open_of(now_ms)
        past = replace(CANDLES, start_ms=end_ms - 2 * DAY, end_ms=end_ms)
        yield CANDLES, replace(CANDLES, interval=Interval.D1), past
    else:
        rows = (CATEGORIES | HELPERS).values()
        known = [row.provider_query for row in rows if isinstance(row.provider_query, kind)]
        yield (known[0] if known else kind(),)


def label_of(operation: Operation, query: Query[Any]) -> str:
    """The operation, with what tells its queries apart."""
    if isinstance(query, GasQuery):
        return f"{operation.name} {query.chain}"
    return f"{operation.name} {query.interval}" if isinstance(query, OhlcQuery) else operation.name
