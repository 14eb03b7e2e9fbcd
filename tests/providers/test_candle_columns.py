"""Candles made of a whole list at once are those made row by row, whatever the list has."""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, NoReturn

import pytest

from backend.errors import QueryRefused
from backend.identity.instruments import Instrument
from backend.models.ohlc import DAY, HOUR, Candles, Interval, OhlcQuery
from backend.providers import rows
from backend.providers.adapter import Context
from backend.providers.candle_columns import columns_of, decimal_columns
from backend.providers.vendors import binance, bitstamp, coinbase, coingecko_candles, kraken, okx
from tests.clocks import EPOCH_MS
from tests.world import data
from tests.world.okx_kraken import kraken_ohlc, okx_candles, okx_reply
from tests.world.venues import bitstamp_candles, coinbase_candles

PRICE, ROWS = 100.0, 60
Rows = list[Any]


@dataclass(frozen=True)
class Venue:
    """`rows` are honest ones for an interval's step; `payload` is the answer that has them."""

    module: ModuleType
    parse: Callable[[OhlcQuery, Sequence[Any], Context], Candles]
    rows: Callable[[int], Rows]
    payload: Callable[[Rows], Any] = lambda rows: rows
    plan: str = "public"
    intervals: tuple[Interval, ...] = (Interval.M1, Interval.H1, Interval.D1)

    @property
    def name(self) -> str:
        return self.module.__name__.rpartition(".")[2]


VENUES = (
    Venue(
        binance,
        binance.parse_klines,
        lambda step: data.klines(PRICE, step, EPOCH_MS, None, None, ROWS),
        intervals=(Interval.M1, Interval.H1, Interval.D3, Interval.W1, Interval.MONTH),
    ),
    Venue(
        coinbase,
        coinbase.parse_pages,
        lambda step: coinbase_candles(PRICE, step, EPOCH_MS, None, None)[:ROWS],
    ),
    Venue(
        okx, okx.parse_pages, lambda step: okx_candles(PRICE, step, EPOCH_MS, limit=ROWS), okx_reply
    ),
    Venue(
        bitstamp,
        bitstamp.parse_pages,
        lambda step: bitstamp_candles(PRICE, step, EPOCH_MS, None, ROWS)["data"]["ohlc"],
        lambda rows: {"data": {"ohlc": rows}},
    ),
    Venue(
        kraken,
        kraken.parse_payload,
        lambda step: kraken_ohlc("A", PRICE, step, EPOCH_MS)["result"]["A"][-ROWS:],
        lambda rows: {"error": [], "result": {"A": rows, "last": EPOCH_MS // 1000 - 86_400}},
    ),
    Venue(
        coingecko_candles,
        coingecko_candles.parse_native,
        lambda step: data.ohlc(PRICE, step, ROWS, EPOCH_MS),
        plan=coingecko_candles.PAID_PLAN,
        intervals=(Interval.H1, Interval.D1),
    ),
)
every_venue = pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.name)

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, -0.0, 7.0, 2**53 + 1, 10**400, 1e-31, 1e30, 1e308),
    *(math.nan, math.inf, -math.inf, 99.0, 101, 100, 9_999.0, EPOCH_MS, EPOCH_MS // 1000),
    *("", "0", "1", "7", "99", "100.0", "-1.0", "-0", "-0.0", ".5", "5.", "007.5", "1e2", "1_0"),
    *(" 100.0", "100.0,100.0", "NaN", "Infinity", "٣", "9" * 400, "1" * 30, "0." + "0" * 40 + "1"),
    *(b"100.0", [100.0], ["100.0"], {"open": 1.0}, str(EPOCH_MS), str(EPOCH_MS // 1000), "\ud800"),
)


def query_of(venue: Venue, interval: Interval) -> OhlcQuery:
    instrument = Instrument(venue.name, "A", "USD", "A")
    return OhlcQuery("a", (instrument,), interval, reference_price=PRICE)


def outcome(venue: Venue, query: OhlcQuery, pages: Iterable[Rows]) -> Any:
    """The series with the type of each figure, or what is wrong with it."""
    context = Context(venue.name, venue.plan, EPOCH_MS)
    try:
        series = venue.parse(query, [venue.payload(page) for page in pages], context)
    except Exception as error:
        return type(error), str(error)
    return series, repr(series)


def row_by_row(pages: Any, interval: Any, _all: Any, *arguments: Any, **named: Any) -> Candles:
    return rows.parse_candles(pages, interval, never, *arguments, **named)


def all_at_once(
    pages: Any, interval: Any, parse_all: Any, _parse: Any, opened: Any, **named: Any
) -> Candles:
    return rows.parse_candles(pages, interval, parse_all, not_one, opened, **named)


def never(_rows: Rows) -> NoReturn:
    raise ValueError


def not_one(_row: Any) -> NoReturn:
    raise AssertionError("a row was parsed by itself")


def both_ways(
    monkeypatch: pytest.MonkeyPatch, venue: Venue, query: OhlcQuery, pages: Sequence[Rows]
) -> tuple[Any, Any]:
    fast = outcome(venue, query, pages)
    with monkeypatch.context() as patch:
        patch.setattr(venue.module, "parse_candles", row_by_row)
        return fast, outcome(venue, query, pages)


def changed(row: Any, dice: random.Random) -> Any:
    """A row with a hostile value, or of another length or kind."""
    value = dice.choice(HOSTILE)
    kind = dice.randrange(10)
    if kind == 0:
        return dice.choice((value, {}, [], "abcdefghijkl", tuple(row)))
    if isinstance(row, dict):
        name = dice.choice([*row, "foreign"])
        kept = {key: each for key, each in row.items() if key != name or kind > 1}
        return kept if kind == 1 else row | {name: value}
    if kind == 1:
        return row[: dice.randrange(len(row))]
    if kind == 2:
        return [*row, value]
    at = dice.randrange(len(row))
    return [*row[:at], value, *row[at + 1 :]]


def hostile(honest: Rows, dice: random.Random) -> Iterator[Any]:
    """The rows; some changed, left out, repeated, or in another place."""
    order = list(honest)
    if dice.random() < 0.2:
        one, other = dice.randrange(len(order)), dice.randrange(len(order))
        order[one], order[other] = order[other], order[one]
    places = set(dice.sample(range(len(order)), dice.choice((1, 1, 1, 2, 5, 40))))
    for at, row in enumerate(order):
        if at not in places:
            yield row
        elif (kind := dice.random()) < 0.8:
            yield changed(row, dice)
        elif kind < 0.9:
            yield from (row, row)


@every_venue
def test_of_honest_rows_no_row_is_parsed_by_itself(
    monkeypatch: pytest.MonkeyPatch, venue: Venue
) -> None:
    for interval in venue.intervals:
        if interval is Interval.MONTH:  # their lengths differ
            continue
        query, honest = query_of(venue, interval), venue.rows(interval.step_ms)
        for some in (honest, honest[1:], honest[:-1]):  # also without the newest one
            fast, slow = both_ways(monkeypatch, venue, query, [some])
            assert fast == slow
            with monkeypatch.context() as patch:
                patch.setattr(venue.module, "parse_candles", all_at_once)
                assert outcome(venue, query, [some]) == fast
        assert len(outcome(venue, query, [honest])[0].candles) > ROWS * 0.9


@every_venue
def test_hostile_rows_are_refused_and_named_as_row_by_row(
    monkeypatch: pytest.MonkeyPatch, venue: Venue
) -> None:
    dice = random.Random(f"columns of {venue.name}")
    seen = set()
    for _ in range(600):
        interval = dice.choice(venue.intervals)
        honest = venue.rows(interval.step_ms)
        pages = [list(hostile(honest, dice))]
        fast, slow = both_ways(monkeypatch, venue, query_of(venue, interval), pages)
        assert fast == slow, pages
        seen.add(type(fast[0]))
    assert Candles in seen
    assert len(seen) > 1, "some lists are refused"


@every_venue
def test_each_hostile_value_in_each_place_is_seen(
    monkeypatch: pytest.MonkeyPatch, venue: Venue
) -> None:
    interval = venue.intervals[1]
    query, honest = query_of(venue, interval), venue.rows(interval.step_ms)[-12:]
    if venue.module is coinbase or venue.module is okx:
        honest = venue.rows(interval.step_ms)[:12]  # the newest come first
    first = honest[5]
    for place in first if isinstance(first, dict) else range(len(first)):
        for value in HOSTILE:
            row = first.copy()
            row[place] = value
            fast, slow = both_ways(monkeypatch, venue, query, [[*honest[:5], row, *honest[6:]]])
            assert fast == slow, (place, value)


@pytest.mark.parametrize(
    "venue", [one for one in VENUES if one.plan == "public"], ids=lambda venue: venue.name
)
def test_rows_outside_a_range_are_refused_as_row_by_row(
    monkeypatch: pytest.MonkeyPatch, venue: Venue
) -> None:
    minute, hours = venue.rows(60_000), venue.rows(HOUR)
    for first_ms, last_ms in ((10, 0), (100, 0), (100, -100), (50, 20)):
        query = replace(
            query_of(venue, Interval.H1),
            start_ms=EPOCH_MS - first_ms * HOUR,
            end_ms=EPOCH_MS - last_ms * HOUR,
        )
        pages = [hours] if venue.module is kraken else [minute, hours]
        fast, slow = both_ways(monkeypatch, venue, query, pages)
        assert fast == slow


def test_a_row_in_the_future_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    venue = VENUES[0]
    honest = venue.rows(HOUR)
    ahead = data.kline(EPOCH_MS + DAY, PRICE, HOUR)
    fast, slow = both_ways(monkeypatch, venue, query_of(venue, Interval.H1), [[*honest, ahead]])
    assert fast == slow
    assert fast[0].refused == (str(EPOCH_MS + DAY),)


def test_a_list_without_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fast, slow = both_ways(monkeypatch, VENUES[0], query_of(VENUES[0], Interval.H1), [[]])
    assert fast == slow
    assert fast[0] is QueryRefused


def test_decimals_are_those_of_float() -> None:
    dice = random.Random(7)
    texts = [
        f"{dice.uniform(0, 10 ** dice.randint(-12, 12)):.{dice.randint(1, 25)}f}"
        for _ in "x" * 5_000
    ]
    texts += [
        "0.1",
        "9" * 300 + ".5",
        "123456789012345678.123456789",
        "0." + "0" * 300 + "1",
        "18446744073709551616",
    ]
    (numbers,) = decimal_columns(texts)
    assert list(map(float, numbers)) == list(map(float, texts))


@pytest.mark.parametrize(
    "text",
    ["", "-1", "1e5", "1,2", " 1", "1 ", ".5", "5.", "05", "1.2.3", "٣", "NaN", "[1]", "null"],
)
def test_what_is_no_plain_decimal_of_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        decimal_columns(["1.0", text], ["1.0", "2.0"])


def test_columns_are_of_lists_of_one_length() -> None:
    assert columns_of([[1, "a"], [2, "b"]]) == [(1, 2), ("a", "b")]
    for wrong in ([[1, 2], [3]], [[1, 2], "ab"], [[1, 2], (3, 4)], [[1, 2], {3: 1, 4: 2}], []):
        with pytest.raises((TypeError, ValueError)):
            columns_of(wrong)
