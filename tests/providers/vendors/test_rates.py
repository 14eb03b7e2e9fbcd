"""Exchange rates: Coinbase's texts without a time, and the European Central Bank's days."""

from datetime import UTC, datetime
from typing import Any

import pytest

from backend.errors import ProviderError, QueryRefused, RateLimited, UpstreamFailed
from backend.models.rates import ExchangeRates, RatesQuery
from backend.providers.adapter import Call, Context, Window
from backend.providers.refusals import refusal_in
from backend.providers.vendors import coinbase_rates, frankfurter
from tests.clocks import EPOCH, EPOCH_MS
from tests.world import lists

CONTEXT = Context("any", "public", EPOCH_MS)


def coinbase(**rates: Any) -> ExchangeRates:
    payload = {"data": {"currency": "USD", "rates": lists.RATES | {"USD": "1.00"} | rates}}
    return coinbase_rates.parse_rates(RatesQuery(), [payload], CONTEXT)


def frankfurters(**changes: Any) -> ExchangeRates:
    payload = lists.frankfurter(EPOCH_MS) | changes
    return frankfurter.parse_rates(RatesQuery(), [payload], CONTEXT)


def test_coinbases_rates_are_for_one_dollar_and_have_no_time() -> None:
    found = coinbase()
    assert found.rates["EUR"] == 0.9215
    assert found.rates["BTC"] == 0.00002
    assert found.rates["USD"] == 1.0
    assert found.as_of is None
    assert found.refused == ()


@pytest.mark.parametrize("zero", ["0", "0.0", "0.00000000", "-0"])
def test_a_rate_of_zero_is_left_out_before_it_could_be_inverted(zero: str) -> None:
    found = coinbase(XAU=zero)
    assert "XAU" not in found.rates
    assert found.refused == ("XAU",)


@pytest.mark.parametrize("code", ["00", "ETH2", "1INCH", "eur", "E", "", "EUR ", "ABCDEFGHIJK"])
def test_an_odd_code_is_left_out(code: str) -> None:
    found = coinbase(**{code: "2.125"})
    assert set(found.rates) == {*lists.RATES, "USD"}
    assert len(found.refused) == 1


@pytest.mark.parametrize("code", ["EEK", "LTL", "MTL", "ZMK", "BGN"])
def test_a_withdrawn_currency_is_left_out(code: str) -> None:
    assert coinbase(**{code: "14.6125"}).refused == (code,)


@pytest.mark.parametrize("rate", ["0.9", "1", "2.", "0.00002", "9"])
def test_a_rate_of_too_few_digits_to_convert_with_is_left_out(rate: str) -> None:
    assert coinbase(EUR=rate).refused == ("EUR",)


@pytest.mark.parametrize("rate", ["0.88", "111", "1.00", "1129", "0.00025000", "0.0242"])
def test_a_rate_rounded_by_less_than_a_percent_is_used(rate: str) -> None:
    assert coinbase(EUR=rate).rates["EUR"] == float(rate)


@pytest.mark.parametrize(
    "rate", [None, 0.92, 1, True, "", "x", "-0.92", "1e-2", "NaN", "Infinity", " 0.92", [], {}]
)
def test_a_malformed_rate_is_left_out(rate: Any) -> None:
    found = coinbase(EUR=rate)
    assert found.refused == ("EUR",)
    assert found.rates["GBP"] == 0.7874


@pytest.mark.parametrize(
    "payload",
    [
        {"data": {"currency": "EUR", "rates": lists.RATES}},
        {"data": {"currency": "USD", "rates": {"EUR": "0.9215", "USD": "1.0852"}}},
        {"data": {"currency": "USD", "rates": {}}},
        {"data": {"currency": "USD", "rates": []}},
        {"data": {"currency": "USD", "rates": {"EUR": "0", "GBP": "0", "JPY": "150.1"}}},
        {"data": {"currency": "USD", "rates": {f"C{'A' * n}": "0.9215" for n in range(20)}}},
        {"errors": [{"id": "internal", "message": "-"}]},
        {"data": None},
        [],
        None,
    ],
    ids=str,
)
def test_what_is_no_table_of_the_dollar_is_refused(payload: Any) -> None:
    with pytest.raises((LookupError, TypeError, ValueError)):
        coinbase_rates.parse_rates(RatesQuery(), [payload], CONTEXT)


def test_the_banks_rates_have_the_date_of_the_answer() -> None:
    found = frankfurters(date="2026-11-20")
    assert found.as_of == datetime(2026, 11, 20, tzinfo=UTC)  # a Friday, on Sunday
    assert found.rates["GBP"] == 0.7874
    assert found.rates["USD"] == 1.0  # the table has no row of its base
    assert "BTC" not in found.rates


@pytest.mark.parametrize(
    "change",
    [
        {"date": "2026-11-10"},
        {"date": "2026-11-23T00:00:00Z"},
        {"date": "2026-12-01"},
        {"date": None},
        {"base": "EUR"},
        {"amount": 100.0},
        {"rates": {}},
        {"rates": {"EUR": 0, "GBP": -1, "JPY": 150.1}},
        {"rates": None},
    ],
    ids=str,
)
def test_old_future_or_other_rates_of_the_bank_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises((LookupError, TypeError, ValueError)):
        frankfurters(**change)


@pytest.mark.parametrize("rate", [0, -1.0, "0.92", None, True, float("nan"), float("inf"), 1e31])
def test_a_malformed_rate_of_the_bank_is_left_out(rate: Any) -> None:
    rates = lists.frankfurter(EPOCH_MS)["rates"] | {"EUR": rate}
    assert frankfurters(rates=rates).refused == ("EUR",)


def test_an_error_of_frankfurter_under_status_200_is_no_table() -> None:
    with pytest.raises(LookupError):
        frankfurter.parse_rates(RatesQuery(), [{"message": "not found"}], CONTEXT)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, QueryRefused), (422, QueryRefused), (429, RateLimited), (503, UpstreamFailed)],
)
def test_errors_of_frankfurter(status: int, kind: type[ProviderError]) -> None:
    error = refusal_in(frankfurter.ADAPTER, status, {}, {"message": "-"}, b"", EPOCH)
    assert type(error) is kind


def test_the_calls_and_limits() -> None:
    call = Call("/v2/exchange-rates", (("currency", "USD"),), max_bytes=256 * 1024)
    assert coinbase_rates.build_rates(RatesQuery(), CONTEXT) == (call,)
    assert coinbase_rates.PUBLIC.windows == (Window(6, 60),)
    call = Call("/v1/latest", (("base", "USD"),), max_bytes=256 * 1024)
    assert frankfurter.build_rates(RatesQuery(), CONTEXT) == (call,)
    assert frankfurter.PUBLIC.windows == (Window(4, 3_600),)
