"""Exactly so many bars before an end, though candles are missing between them."""

import pytest

from api.facades.udf.bars import Asked, fetch_bars
from backend.errors import AllProvidersFailed
from backend.models.answer import Answer
from backend.models.ohlc import HOUR, Candle, Candles, Interval, OhlcQuery
from tests.clocks import EPOCH_MS
from tests.services.candles.test_service import CandleSource, answered, service

NEWEST = EPOCH_MS // HOUR * HOUR


class Sparse(CandleSource):
    """Has one candle in `every` hours, since `oldest` hours ago. It answers `most` questions."""

    def __init__(self, every: int, oldest: int, most: int = 99) -> None:
        super().__init__()
        self.opens = [NEWEST - back * HOUR for back in range(oldest, -1, -1) if back % every == 0]
        self.most = most

    async def fetch(self, query: OhlcQuery) -> Answer[Candles]:
        self.asked.append(query)
        if len(self.asked) > self.most:
            raise AllProvidersFailed("no provider could answer")
        start = NEWEST - 999 * HOUR if query.start_ms is None else query.start_ms
        end = NEWEST if query.end_ms is None else query.end_ms - 1
        kept = [at for at in self.opens if start <= at <= end]
        return answered(tuple(Candle(at, 5.0, 6.0, 4.0, 5.5, 1.0, at < NEWEST) for at in kept))


def asked(count: int) -> Asked:
    return Asked("BTC", Interval.H1, "USD", 0, NEWEST + 1, count)


def free(_units: int) -> None:
    pass


@pytest.mark.parametrize(("count", "questions"), [(200, 1), (500, 2), (900, 3)])
async def test_a_longer_range_is_asked_for_where_candles_are_missing(
    count: int, questions: int
) -> None:
    source = Sparse(every=3, oldest=6_000)
    bars = await fetch_bars(service(source), asked(count), free)
    assert bars is not None
    assert [row.timestamp for row in bars.rows] == source.opens[-count:]
    assert len(source.asked) <= questions


async def test_a_short_history_costs_one_question_more() -> None:
    source = Sparse(every=1, oldest=20)
    bars = await fetch_bars(service(source), asked(300), free)
    assert bars is not None
    assert [row.timestamp for row in bars.rows] == source.opens
    assert len(source.asked) == 2


async def test_known_bars_are_given_if_a_longer_range_fails() -> None:
    source = Sparse(every=3, oldest=6_000, most=1)
    bars = await fetch_bars(service(source), asked(900), free)
    assert bars is not None
    assert len(bars.rows) == 334


async def test_a_first_failure_is_raised() -> None:
    with pytest.raises(AllProvidersFailed):
        await fetch_bars(service(Sparse(3, 10, most=0)), asked(5), free)


async def test_the_longest_question_ends() -> None:
    source = Sparse(every=50, oldest=60_000)
    bars = await fetch_bars(service(source), asked(9_000), free)
    assert bars is not None
    assert 100 < len(bars.rows) < 9_000
    assert len(source.asked) <= 3
