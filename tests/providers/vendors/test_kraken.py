"""Kraken's candles: payload in, model out; filled intervals and other names of coins."""

from dataclasses import replace
from typing import Any

import pytest

from backend.clock import SystemClock
from backend.errors import (
    MalformedResponse,
    ProviderError,
    QueryRefused,
    RateLimited,
    UpstreamFailed,
)
from backend.identity.instruments import Instrument, guessed_instruments
from backend.models.ohlc import DAY, HOUR, WEEK, Candle, Candles, Interval, OhlcQuery
from backend.providers.adapter import Call, Context
from backend.providers.client import parsed
from backend.providers.refusals import refusal_in
from backend.providers.vendors import kraken
from tests.clocks import EPOCH_MS

CONTEXT = Context("kraken", "public", EPOCH_MS)
BTC = Instrument("kraken", "BTC", "USD", "BTC/USD")
NEWEST = OhlcQuery("bitcoin", (BTC,), Interval.H1, reference_price=100.0)
RANGE = replace(NEWEST, start_ms=EPOCH_MS - 5 * HOUR, end_ms=EPOCH_MS - 2 * HOUR)
(OPERATION,) = kraken.ADAPTER.operations


def row(
    open_ms: int, close: str = "101.5", count: Any = 12, volume: str = "7.50000000"
) -> list[Any]:
    return [open_ms // 1000, "100.0", "102.0", "99.5", close, "100.7", volume, count]


def filled(open_ms: int, price: str = "101.5") -> list[Any]:
    return [open_ms // 1000, price, price, price, price, "0.0", "0.00000000", 0]


FORMING = row(EPOCH_MS)


def answer(*rows: Any, name: str = "BTC/USD", last: Any = (EPOCH_MS - HOUR) // 1000) -> Any:
    return {"error": [], "result": {name: list(rows), "last": last}}


def errors(*texts: Any) -> Any:
    return {"error": list(texts)}


def candles(query: OhlcQuery, payload: Any) -> Candles:
    return parsed(kraken.parse_payload, query, [payload], CONTEXT)


def opens(query: OhlcQuery, *rows: Any) -> list[int]:
    return [one.timestamp for one in candles(query, answer(*rows)).candles]


def refusal(status: int, payload: Any) -> ProviderError | None:
    return refusal_in(kraken.ADAPTER, status, {}, payload, b"", SystemClock().now())


def test_the_last_row_is_forming_and_the_others_are_closed() -> None:
    series = candles(NEWEST, answer(row(EPOCH_MS - HOUR), FORMING))
    assert series.candles == (
        Candle(EPOCH_MS - HOUR, 100.0, 102.0, 99.5, 101.5, 7.5, closed=True),
        Candle(EPOCH_MS, 100.0, 102.0, 99.5, 101.5, 7.5, closed=False),
    )
    assert series.instrument == BTC


def test_a_candle_that_ended_by_our_clock_is_forming_as_long_as_the_venue_says_so() -> None:
    late = row(EPOCH_MS - HOUR)
    payload = answer(row(EPOCH_MS - 2 * HOUR), late, last=(EPOCH_MS - 2 * HOUR) // 1000)
    assert [one.closed for one in candles(NEWEST, payload).candles] == [True, False]


@pytest.mark.parametrize("name", ["BTC/USD", "XXBTZUSD", "XBTUSD"])
def test_the_rows_are_under_any_name_but_last(name: str) -> None:
    assert len(candles(NEWEST, answer(FORMING, name=name)).candles) == 1


@pytest.mark.parametrize(
    "result",
    [
        {"last": EPOCH_MS // 1000},
        {"BTC/USD": [FORMING]},
        {"BTC/USD": [FORMING], "ETH/USD": [FORMING], "last": EPOCH_MS // 1000},
        {"BTC/USD": {}, "last": EPOCH_MS // 1000},
        {"BTC/USD": [FORMING], "last": "1795334400"},
        [],
        None,
    ],
)
def test_a_result_without_one_list_and_its_last_is_malformed(result: Any) -> None:
    with pytest.raises(MalformedResponse):
        candles(NEWEST, {"error": [], "result": result})


def test_intervals_without_trades_stay_gaps() -> None:
    rows = [row(EPOCH_MS - 3 * HOUR), *(filled(EPOCH_MS - at * HOUR) for at in (2, 1)), FORMING]
    series = candles(NEWEST, answer(*rows))
    assert [one.timestamp for one in series.candles] == [EPOCH_MS - 3 * HOUR, EPOCH_MS]
    assert series.refused == ()


def test_a_pair_that_is_only_filled_is_no_longer_traded() -> None:
    rows = [row(EPOCH_MS - 9 * HOUR), *(filled(EPOCH_MS - at * HOUR) for at in range(8, -1, -1))]
    with pytest.raises(QueryRefused):
        candles(NEWEST, answer(*rows))


def test_no_rows_mean_no_candles_of_this_pair() -> None:
    with pytest.raises(QueryRefused):
        candles(NEWEST, answer())


@pytest.mark.parametrize("price", [9.0, 1_100.0])
def test_candles_far_from_the_known_price_are_of_another_coin(price: float) -> None:
    with pytest.raises(QueryRefused):
        candles(replace(NEWEST, reference_price=price), answer(FORMING))


ODD: list[Any] = [
    None,
    [],
    {},
    "text",
    row(EPOCH_MS - HOUR)[:7],
    row(EPOCH_MS - HOUR, count="12"),
    row(EPOCH_MS - HOUR, count=None),
    row(EPOCH_MS - HOUR, close="150"),
    row(EPOCH_MS - HOUR, close="NaN"),
    row(EPOCH_MS - HOUR, volume="-1"),
    row(EPOCH_MS - HOUR + 1_000),
    row(EPOCH_MS + 13 * HOUR),
    [str(row(EPOCH_MS - HOUR)[0]), *row(0)[1:]],
    [float(EPOCH_MS // 1000 - 3_600), *row(0)[1:]],
]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_a_malformed_row_is_left_out_and_named(odd: Any) -> None:
    series = candles(NEWEST, answer(row(EPOCH_MS - 2 * HOUR), odd, FORMING))
    assert [one.timestamp for one in series.candles] == [EPOCH_MS - 2 * HOUR, EPOCH_MS]
    assert len(series.refused) == 1


def test_too_many_rows_are_malformed() -> None:
    with pytest.raises(MalformedResponse):
        candles(NEWEST, answer(*[FORMING] * 1_001))


def test_an_answer_with_an_error_is_malformed_also_with_a_result() -> None:
    with pytest.raises(MalformedResponse):
        candles(NEWEST, answer(FORMING) | errors("EUnknown:Something"))


def test_a_range_is_cut_from_the_newest_candles() -> None:
    rows = [row(EPOCH_MS - back * HOUR) for back in range(8, -1, -1)]
    assert opens(RANGE, *rows) == [EPOCH_MS - back * HOUR for back in (5, 4, 3)]


def test_a_range_of_a_pair_that_is_no_longer_traded_is_refused() -> None:
    with pytest.raises(QueryRefused):
        candles(RANGE, answer(*(row(EPOCH_MS - back * HOUR) for back in (5, 4))))


@pytest.mark.parametrize(
    ("interval", "minutes"),
    [("1m", 1), ("5m", 5), ("15m", 15), ("30m", 30), ("1h", 60), ("4h", 240), ("1d", 1_440)],
)
def test_intervals_are_asked_for_in_minutes(interval: str, minutes: int) -> None:
    query = replace(NEWEST, interval=Interval(interval))
    params = (("pair", "BTC/USD"), ("interval", str(minutes)))
    assert kraken.build_candles(query, CONTEXT) == (Call("/0/public/OHLC", params),)


def test_weeks_and_intervals_that_the_venue_refuses_are_not_served() -> None:
    served = {one for one in Interval if OPERATION.serves(replace(NEWEST, interval=one), CONTEXT)}
    assert served == set(map(Interval, "1m 5m 15m 30m 1h 4h 1d".split()))
    assert Interval.W1 not in served  # the venue's weeks begin on Thursday
    thursday = EPOCH_MS - 8 * HOUR - 3 * DAY
    assert Interval.W1.open_of(thursday) != thursday
    assert WEEK == 7 * DAY


@pytest.mark.parametrize(("back", "is_served"), [(720, True), (721, False), (1_000, False)])
def test_only_the_newest_720_candles_are_served(back: int, is_served: bool) -> None:
    start_ms = EPOCH_MS - back * HOUR
    query = replace(NEWEST, start_ms=start_ms, end_ms=EPOCH_MS)
    assert OPERATION.serves(query, CONTEXT) is is_served


@pytest.mark.parametrize("unknown", [{"instruments": ()}, {"reference_price": None}], ids=str)
def test_candles_need_an_instrument_and_a_known_price(unknown: dict[str, Any]) -> None:
    assert not OPERATION.serves(replace(NEWEST, **unknown), CONTEXT)


def test_there_are_no_tickers_as_their_open_is_that_of_the_calendar_day() -> None:
    assert OPERATION.query_type is OhlcQuery


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("EQuery:Unknown asset pair", QueryRefused),
        ("EGeneral:Invalid arguments", QueryRefused),
        ("EGeneral:Invalid arguments:interval", QueryRefused),
        ("EAPI:Rate limit exceeded", RateLimited),
        ("EGeneral:Too many requests", RateLimited),
        ("EGeneral:Temporary lockout", RateLimited),
        ("EService:Unavailable", UpstreamFailed),
        ("EService:Busy", UpstreamFailed),
    ],
)
def test_errors_have_status_200(text: str, kind: type[ProviderError]) -> None:
    assert type(refusal(200, errors(text))) is kind
    assert type(refusal(200, errors("WGeneral:A warning", text))) is kind


@pytest.mark.parametrize(
    "payload",
    [answer(FORMING), errors(), errors("EUnknown:Something"), errors(None), errors("x"), [], None],
)
def test_other_answers_are_no_known_error(payload: Any) -> None:
    assert refusal(200, payload) is None


# --- identity


@pytest.mark.parametrize(
    ("base", "symbol"),
    [
        ("BTC", "BTC/USD"),
        ("DOGE", "DOGE/USD"),
        ("ETH", "ETH/USD"),
        ("LUNC", "LUNA/USD"),
        ("LUNA", "LUNA2/USD"),
    ],
)
def test_a_guess_and_the_reading_of_its_spelling_are_the_same_instrument(
    base: str, symbol: str
) -> None:
    (guess,) = [one for one in guessed_instruments(base) if one.venue == "kraken"]
    assert guess == Instrument("kraken", base, "USD", symbol)
    assert kraken.instrument_of("kraken", symbol) == guess


@pytest.mark.parametrize("currency", ["EUR", "GBP"])
def test_euros_and_pounds_have_books_of_their_own(currency: str) -> None:
    (guess,) = [one for one in guessed_instruments("BTC", currency) if one.venue == "kraken"]
    assert guess == Instrument("kraken", "BTC", currency, f"BTC/{currency}")
    query = replace(NEWEST, instruments=(guess,), currency=currency)
    series = candles(query, answer(FORMING, name=guess.symbol))
    assert series.instrument == guess


@pytest.mark.parametrize(
    ("symbol", "base"), [("XBT/USD", "BTC"), ("XDG/EUR", "DOGE"), ("USDT/USD", "USDT")]
)
def test_krakens_own_names_are_read_as_the_coins(symbol: str, base: str) -> None:
    found = kraken.instrument_of("kraken", symbol)
    assert found is not None
    assert found.base == base


@pytest.mark.parametrize("symbol", ["EUR/USD", "AAPLx/USD", "ETH/BTC", "BTC/JPY", "BTCUSD", "/USD"])
def test_other_pairs_have_no_instrument(symbol: str) -> None:
    assert kraken.instrument_of("kraken", symbol) is None
