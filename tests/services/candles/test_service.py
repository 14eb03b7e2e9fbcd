"""Candles: what a reader asks becomes few distinct questions, cut to size afterwards."""

import asyncio
from typing import Any

import pytest

from backend.errors import (
    ClientLimitReached,
    DeadlineExceeded,
    InvalidParameter,
    UnknownSymbol,
)
from backend.identity.instruments import VENUES, guessed_instruments
from backend.models.answer import Answer
from backend.models.market import Coin, Market, MarketQuery
from backend.models.ohlc import DAY, HOUR, Candle, Candles, Interval, OhlcQuery
from backend.services.candles.service import OhlcService, OhlcView
from backend.services.instants import parse_instant
from backend.services.market.symbols import CoinDirectory
from tests.clocks import EPOCH, EPOCH_MS, ManualClock
from tests.instruments import instrument, instruments
from tests.services.helpers import no_names

H1, D1 = Interval.H1, Interval.D1
BLOCK_MS = 1_000 * HOUR
#: The start of a block of 1,000 hours, some four years ago.
OLD = (EPOCH_MS - 36_000 * HOUR) // BLOCK_MS * BLOCK_MS


def coin(id: str | None, symbol: str, rank: int | None, price: float | None) -> Coin:  # noqa: A002 - the row's word
    unknown: dict[str, Any] = dict.fromkeys(
        ("image", "market_cap", "volume_24h", "high_24h", "low_24h", "price_change_24h")
    )
    return Coin(
        id=id,
        symbol=symbol,
        name=symbol,
        market_cap_rank=rank,
        price=price,
        price_change_percentage_24h=None,
        circulating_supply=None,
        last_updated=EPOCH,
        source="coingecko_free",
        **unknown,
    )


BITCOIN = coin("bitcoin", "BTC", 1, 50_000.0)
RIPPLE = coin("ripple", "XRP", 2, 2.0)
PEGGED = coin("pegged-xrp", "XRP", 180, 1.9)
COINS = (BITCOIN, RIPPLE, PEGGED)
MARKET = Market(COINS, True, {"bitcoin": instruments("BTCUSDT")}, frozenset(VENUES))


class OneMarket:
    def __init__(self, market: Market) -> None:
        self._answer = Answer(market, "coingecko_free", EPOCH, 12.0)

    async def fetch(self, _query: MarketQuery) -> Answer[Market]:
        return self._answer


class CandleSource:
    """Answers the newest hours, and remembers what it was asked."""

    def __init__(self, answer: Answer[Candles] | None = None) -> None:
        self._answer = answer or answered(rows(3))
        self.asked: list[OhlcQuery] = []
        self.is_cold = True

    async def costs_a_call(self, _query: OhlcQuery) -> bool:
        return self.is_cold

    async def fetch(self, query: OhlcQuery) -> Answer[Candles]:
        self.asked.append(query)
        return self._answer


class SilentSource:
    async def costs_a_call(self, _query: OhlcQuery) -> bool:
        return True

    async def fetch(self, _query: OhlcQuery) -> Answer[Candles]:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets the event")


def rows(count: int) -> tuple[Candle, ...]:
    """The newest hours; the last one is open."""
    opens = range(EPOCH_MS - (count - 1) * HOUR, EPOCH_MS + 1, HOUR)
    return tuple(Candle(at, 5.0, 6.0, 4.0, 5.5, None, at < EPOCH_MS) for at in opens)


def answered(candles: tuple[Candle, ...], pair: str | None = None, **more: Any) -> Answer[Candles]:
    return Answer(
        Candles(H1, candles, instrument(pair) if pair else None), "binance", EPOCH, 20.0, **more
    )


def service(
    source: CandleSource | SilentSource, market: Market = MARKET, deadline_s: float = 4.0
) -> OhlcService:
    directory = CoinDirectory(OneMarket(market))
    return OhlcService(
        source, directory, no_names(directory), clock=ManualClock(), deadline_s=deadline_s
    )


async def asked(view: OhlcView, symbol: str = "BTC", market: Market = MARKET) -> OhlcQuery:
    source = CandleSource()
    await service(source, market).candles(symbol, view)
    (query,) = source.asked
    return query


def opens(answer: Answer[Candles], view: OhlcView) -> list[int]:
    """Hours from EPOCH of the rows that `view` shows."""
    page = service(CandleSource()).cut(answer, view)
    return [(row.timestamp - EPOCH_MS) // HOUR for row in page.rows]


@pytest.mark.parametrize(
    "view",
    [
        OhlcView(H1),
        OhlcView(H1, 1),
        OhlcView(H1, 1_000),
        OhlcView(H1, include_open=False),
        OhlcView(H1, start_ms=EPOCH_MS),
        OhlcView(H1, start_ms=EPOCH_MS - 998 * HOUR),
        OhlcView(H1, 5, start_ms=EPOCH_MS - 100 * HOUR, end_ms=EPOCH_MS),
        OhlcView(H1, end_ms=EPOCH_MS - 700 * HOUR),
        OhlcView(H1, end_ms=EPOCH_MS + DAY),
    ],
)
async def test_the_newest_thousand_candles_are_one_query(view: OhlcView) -> None:
    assert await asked(view) == OhlcQuery("bitcoin", instruments("BTCUSDT"), H1)


@pytest.mark.parametrize("minutes", [0, 1, 90, 59_999])
async def test_nearby_starts_long_ago_share_a_query_for_whole_blocks(minutes: int) -> None:
    query = await asked(OhlcView(H1, 1, start_ms=OLD + minutes * 60_000))
    assert query.start_ms == OLD
    assert query.end_ms in {OLD + BLOCK_MS, OLD + 2 * BLOCK_MS}


async def test_a_start_long_ago_fetches_no_more_than_its_limit() -> None:
    query = await asked(OhlcView(H1, 200, start_ms=OLD + 100 * HOUR))
    assert (query.start_ms, query.end_ms) == (OLD, OLD + BLOCK_MS)


async def test_a_start_near_the_end_of_a_block_fetches_the_next_block_too() -> None:
    query = await asked(OhlcView(H1, 200, start_ms=OLD + 900 * HOUR))
    assert (query.start_ms, query.end_ms) == (OLD, OLD + 2 * BLOCK_MS)


async def test_a_closed_range_fetches_every_block_that_it_touches() -> None:
    view = OhlcView(H1, start_ms=OLD + 500 * HOUR, end_ms=OLD + 3_200 * HOUR)
    query = await asked(view)
    assert (query.start_ms, query.end_ms) == (OLD, OLD + 4 * BLOCK_MS)


async def test_an_end_long_ago_fetches_the_block_before_it() -> None:
    query = await asked(OhlcView(H1, 200, end_ms=OLD + 900 * HOUR))
    assert (query.start_ms, query.end_ms) == (OLD, OLD + BLOCK_MS)


async def test_a_block_reaches_back_no_further_than_2009() -> None:
    query = await asked(OhlcView(D1, 1, start_ms=parse_instant("start", "2009-01-01")))
    assert query.start_ms is not None
    assert parse_instant("start", "2009-01-01") - query.start_ms < 1_000 * DAY


async def test_a_range_of_too_many_candles_is_refused() -> None:
    view = OhlcView(H1, start_ms=OLD, end_ms=OLD + 12_000 * HOUR)
    with pytest.raises(InvalidParameter, match="10000") as caught:
        await asked(view)
    assert caught.value.parameter == "start"


@pytest.mark.parametrize("hours", [0, 1, 499, 500, 999])
async def test_a_range_under_the_limit_is_answered_wherever_it_begins(hours: int) -> None:
    start_ms = OLD + hours * HOUR
    query = await asked(OhlcView(H1, start_ms=start_ms, end_ms=start_ms + 9_500 * HOUR))
    assert query.start_ms == OLD
    assert query.end_ms is not None
    assert query.end_ms > start_ms + 9_500 * HOUR


@pytest.mark.parametrize(
    "view",
    [
        OhlcView(H1, start_ms=EPOCH_MS + 1),
        OhlcView(H1, start_ms=EPOCH_MS + DAY, end_ms=EPOCH_MS + 2 * DAY),
        OhlcView(H1, start_ms=EPOCH_MS - HOUR, end_ms=EPOCH_MS - 2 * HOUR),
        OhlcView(H1, start_ms=OLD + 1, end_ms=OLD),
    ],
)
async def test_a_start_in_the_future_or_after_the_end_is_refused_without_a_fetch(
    view: OhlcView,
) -> None:
    source = CandleSource()
    with pytest.raises(InvalidParameter) as caught:
        await service(source).candles("BTC", view)
    assert caught.value.parameter == "start"
    assert source.asked == []


@pytest.mark.parametrize(
    ("symbol", "pairs", "coin_id", "pair"),
    [
        ("BTC", {"bitcoin": "BTCFDUSD"}, "bitcoin", "BTCFDUSD"),
        ("BTC/USDC", {"bitcoin": "BTCUSDT"}, "bitcoin", "BTCUSDT"),
        ("BTC", {}, "bitcoin", None),
        ("BTC", None, "bitcoin", "BTCUSDT"),
        ("pegged-xrp", {"ripple": "XRPUSDT"}, "pegged-xrp", None),
        ("pegged-xrp", None, "pegged-xrp", None),
    ],
)
async def test_only_the_best_ranked_coin_of_a_ticker_has_instruments(
    symbol: str, pairs: dict[str, str] | None, coin_id: str, pair: str | None
) -> None:
    known = None if pairs is None else {name: instruments(pair) for name, pair in pairs.items()}
    listed = frozenset[str]() if pairs is None else frozenset(VENUES)
    query = await asked(OhlcView(H1), symbol, Market(COINS, True, known, listed))
    at_binance = tuple(one for one in query.instruments if one.venue == "binance")
    assert (query.coin_id, at_binance) == (coin_id, instruments(pair) if pair else ())


async def test_venues_that_have_not_listed_their_instruments_are_expected_to_trade_the_coin() -> (
    None
):
    market = Market(COINS, True, {"bitcoin": instruments("BTCUSDT")}, frozenset({"binance", "okx"}))
    query = await asked(OhlcView(H1), "BTC", market)
    assert [one.venue for one in query.instruments] == ["binance", "bitstamp", "coinbase", "kraken"]


async def test_a_listed_instrument_that_was_guessed_before_leaves_the_query_the_same() -> None:
    guessed = await asked(OhlcView(H1), "BTC", Market(COINS, True, None))
    known = {"bitcoin": guessed_instruments("BTC")}
    listed = await asked(OhlcView(H1), "BTC", Market(COINS, True, known, frozenset(VENUES)))
    assert listed == guessed


async def test_candles_in_another_currency_come_from_books_in_it() -> None:
    known = {"bitcoin": (*guessed_instruments("BTC"), *guessed_instruments("BTC", "EUR"))}
    market = Market(COINS, True, known, frozenset(VENUES))
    query = await asked(OhlcView(H1, currency="EUR"), "BTC", market)
    assert {one.quote for one in query.instruments} == {"EUR"}
    assert query != await asked(OhlcView(H1), "BTC", market)


async def test_the_query_carries_the_coins_price_to_detect_a_namesake() -> None:
    assert (await asked(OhlcView(H1))).reference_price == 50_000.0


async def test_without_a_universe_the_venues_own_instrument_is_queried() -> None:
    traded = {"BTC": instruments("BTCUSDC")}
    bare = Market((coin(None, "BTC", None, 50_000.0),), False, traded, frozenset(VENUES))
    assert await asked(OhlcView(H1), "BTC", bare) == OhlcQuery(None, instruments("BTCUSDC"), H1)


async def test_an_unknown_symbol_fetches_no_candles() -> None:
    source = CandleSource()
    with pytest.raises(UnknownSymbol):
        await service(source).candles("nope", OhlcView(H1))
    assert source.asked == []


async def test_a_silent_source_ends_at_the_deadline() -> None:
    with pytest.raises(DeadlineExceeded):
        await service(SilentSource(), deadline_s=0.05).candles("BTC", OhlcView(H1))


async def test_warnings_name_the_chosen_coin_and_the_dollar_coin() -> None:
    source = CandleSource(answered(rows(3), "XRPUSDT", warnings=("of the provider",)))
    answer = await service(source).candles("XRP", OhlcView(H1))
    ambiguous, dollar, far, provided = answer.warnings
    assert "far from the coin's last known price" in far
    assert "pegged-xrp" in ambiguous
    assert "XRPUSDT" in dollar
    assert "dollar" in dollar
    assert provided == "of the provider"


@pytest.mark.parametrize(
    ("refused", "warning"),
    [
        (("1795334400000",), "1 candle was refused as malformed: 1795334400000"),
        (
            ("number 3", "1795334400000"),
            "2 candles were refused as malformed: number 3, 1795334400000",
        ),
        (
            tuple(map(str, range(400))),
            "400 candles were refused as malformed: 0, 1, 2, 3, 4, and 395 more",
        ),
    ],
)
async def test_refused_candles_are_counted_and_named(
    refused: tuple[str, ...], warning: str
) -> None:
    held = Answer(Candles(H1, rows(3), None, refused), "binance", EPOCH, 20.0)
    answer = await service(CandleSource(held)).candles("BTC", OhlcView(H1))
    assert warning in answer.warnings


async def test_candles_in_us_dollars_have_warnings_about_volume_and_age() -> None:
    answer = await service(CandleSource()).candles("BTC", OhlcView(H1))
    late, far = answer.warnings
    assert late == "binance has no volume, and its candles can be 15 minutes old"
    assert "far from" in far
    assert answer.source == "binance"


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (OhlcView(H1), list(range(-199, 1))),
        (OhlcView(H1, 3), [-2, -1, 0]),
        (OhlcView(H1, 3, include_open=False), [-3, -2, -1]),
        (OhlcView(H1, 3, start_ms=EPOCH_MS - 10 * HOUR), [-10, -9, -8]),
        (OhlcView(H1, 3, start_ms=EPOCH_MS - 10 * HOUR + 1), [-9, -8, -7]),
        (OhlcView(H1, 3, end_ms=EPOCH_MS - 10 * HOUR), [-12, -11, -10]),
        (OhlcView(H1, 3, end_ms=EPOCH_MS - 10 * HOUR - 1), [-13, -12, -11]),
        (OhlcView(H1, start_ms=EPOCH_MS - 230 * HOUR), list(range(-230, -30))),
        (OhlcView(H1, None, EPOCH_MS - 230 * HOUR, EPOCH_MS), list(range(-230, 1))),
        (OhlcView(H1, None, EPOCH_MS - 2 * HOUR, EPOCH_MS - 2 * HOUR), [-2]),
        (OhlcView(H1, None, EPOCH_MS - HOUR, EPOCH_MS, include_open=False), [-1]),
    ],
)
def test_a_view_has_the_first_rows_from_its_start_else_the_newest(
    view: OhlcView, expected: list[int]
) -> None:
    assert opens(answered(rows(240)), view) == expected


def test_the_total_counts_what_the_limit_cut_off() -> None:
    page = service(CandleSource()).cut(answered(rows(240)), OhlcView(H1, 10))
    assert (len(page.rows), page.total) == (10, 240)
    assert page.warnings == ()


@pytest.mark.parametrize(
    ("stale", "age_s", "expected"),
    [
        (True, 901.0, [-2, -1]),
        (True, 900.0, [-2, -1, 0]),
        (True, 5.0, [-2, -1, 0]),
        (False, 5_000.0, [-2, -1, 0]),
    ],
)
def test_an_open_candle_is_left_out_once_it_is_stale_for_fifteen_minutes(
    stale: bool, age_s: float, expected: list[int]
) -> None:
    answer = answered(rows(3), stale=stale, age_s=age_s)
    assert opens(answer, OhlcView(H1)) == expected
    assert service(CandleSource()).open_is_too_old(answer) is (len(expected) == 2)


@pytest.mark.parametrize(
    "view", [OhlcView(H1, 4), OhlcView(H1), OhlcView(H1, start_ms=EPOCH_MS - 3 * HOUR)]
)
def test_a_history_that_begins_after_the_view_is_a_warning(view: OhlcView) -> None:
    (warning,) = service(CandleSource()).cut(answered(rows(3)), view).warnings
    assert "binance" in warning
    assert "1h" in warning
    assert "2026-11-22T06:00Z" in warning


@pytest.mark.parametrize(
    "view", [OhlcView(H1, 3), OhlcView(H1, start_ms=EPOCH_MS - 2 * HOUR), OhlcView(H1, 1)]
)
def test_a_history_long_enough_needs_no_warning(view: OhlcView) -> None:
    assert service(CandleSource()).cut(answered(rows(3)), view).warnings == ()


def test_leaving_out_the_open_candle_is_no_short_history() -> None:
    view = OhlcView(H1, 1_000, include_open=False)
    page = service(CandleSource()).cut(answered(rows(1_000)), view)
    assert len(page.rows) == 999
    assert page.warnings == ()


def test_no_candles_at_all_are_an_empty_page() -> None:
    page = service(CandleSource()).cut(answered(()), OhlcView(H1))
    assert (page.rows, page.total) == ((), 0)


SAME_INSTANT = """2026-11-22T08:00:00Z 2026-11-22T08:00:00.000Z 2026-11-22T08:00:00+00:00
2026-11-22T16:00:00+08:00 2026-11-22T02:30:00-05:30 2026-11-22T08:00
1795334400 1795334400.0 1795334400000""".split()
#: As they arrive where a bare + in an address has become a space.
PLUS_LOST = """2026-11-22T08:00:00 00:00|2026-11-22T16:00:00 08:00|2026-11-22T08:00:00.000 00:00
2026-11-22 08:00:00 00:00|2026-11-22T16:00 08|20261122T133000 0530""".replace("\n", "|").split("|")
NO_INSTANT = """now nan inf 1e12 2026-13-01 2026-02-30 22.11.2026 2026-11-22T25:00Z
0 -1795334400 20261122 2008-12-31T23:59:59Z 1230767999
9999-12-31T23:59:59Z 0001-01-01T00:00:00+23:59 9999999999999999""".split()
SPACES = (
    " 1795334400",
    " 2026-11-22",
    "2026-11-22T08:00:00  00:00",
    "2026-11-22T08:00:00 25:00",
    "2026-11-22 08:00 00:00 00:00",
)


@pytest.mark.parametrize("text", [*SAME_INSTANT, "2026-11-22 08:00:00", *PLUS_LOST])
def test_an_instant_may_be_iso_or_epoch_seconds_or_milliseconds(text: str) -> None:
    assert parse_instant("start", text) == EPOCH_MS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22", EPOCH_MS - 8 * HOUR),
        ("2009-01-01", 1_230_768_000_000),
        ("1230768000", 1_230_768_000_000),
        ("2026-11-22T08:00:00.007Z", EPOCH_MS + 7),
        ("1795334400.123", EPOCH_MS + 123),
    ],
)
def test_an_instant_is_exact(text: str, expected: int) -> None:
    assert parse_instant("start", text) == expected


@pytest.mark.parametrize("text", [*NO_INSTANT, "", "1" * 40, *SPACES])
def test_an_instant_before_2009_or_a_malformed_one_is_refused_with_examples(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_instant("end", text)
    assert caught.value.parameter == "end"
    assert "2026-11-22" in caught.value.allowed


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "units"),
    [
        (None, None, [2]),
        (EPOCH_MS - 5_000 * HOUR, EPOCH_MS - 4_500 * HOUR, [2 * (1 + 2)]),
        (EPOCH_MS - 20_000 * HOUR, EPOCH_MS - 10_001 * HOUR, [2 * (1 + 11)]),
    ],
)
async def test_a_query_that_is_not_cached_is_charged_by_its_pages(
    start_ms: int | None, end_ms: int | None, units: list[int]
) -> None:
    source, charged = CandleSource(), list[int]()
    view = OhlcView(H1, None, start_ms, end_ms)
    await service(source).candles("BTC", view, charged.append)
    assert charged == units
    source.is_cold = False
    await service(source).candles("BTC", view, charged.append)
    assert charged == units, "what is at hand costs nothing"


async def test_a_client_over_its_limit_causes_no_fetch() -> None:
    def charge(units: int) -> None:
        raise ClientLimitReached(units, 0, 7)

    source = CandleSource()
    with pytest.raises(ClientLimitReached):
        await service(source).candles("BTC", OhlcView(H1), charge)
    assert source.asked == []
