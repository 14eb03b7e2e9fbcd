"""Exchange rates: what is believed, what is remembered, and amounts in other currencies."""

import asyncio
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backend.categories import RATES
from backend.errors import AllProvidersFailed
from backend.identity.currencies import CURRENCIES
from backend.models.answer import Answer
from backend.models.market import Coin
from backend.models.rates import ExchangeRates, OlderRate, PastRates, RatesQuery
from backend.services.currency import (
    NEAR_AN_HOUR,
    Conversion,
    CurrencyService,
    RatesMonitor,
)
from tests.clocks import EPOCH
from tests.services.market.test_service import coin

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Rates:
    """A source of what it is given."""

    def __init__(self) -> None:
        self.answer: Answer[ExchangeRates] | None = None

    def set(
        self,
        rates: Mapping[str, float],
        at: datetime = EPOCH,
        *,
        as_of: datetime | None = None,
        source: str = "coinbase_rates",
        refused: tuple[str, ...] = (),
    ) -> None:
        self.answer = Answer(ExchangeRates(rates, as_of, refused), source, at, 1.0)

    async def fetch(self, query: RatesQuery) -> Answer[ExchangeRates]:
        if self.answer is None:
            raise AllProvidersFailed("no rates")
        return self.answer


class Stand:
    def __init__(self) -> None:
        self.upstream = Rates()
        self.monitor = RatesMonitor(self.upstream)
        self.service = CurrencyService(self.monitor)

    async def rates(self, rates: Mapping[str, float], at: datetime, **given: Any) -> ExchangeRates:
        self.upstream.set(rates, at, **given)
        return (await self.monitor.fetch(RatesQuery())).data

    async def eur(self, rate: float, at: datetime, **given: Any) -> float | None:
        return (await self.rates({"EUR": rate}, at, **given)).rates.get("EUR")

    async def conversion(self, currency: str = "EUR") -> Conversion:
        _, conversion = await self.service.conversion(currency)
        assert conversion is not None
        return conversion


@pytest.fixture
def stand() -> Stand:
    return Stand()


# What is believed


async def test_small_moves_are_believed_one_after_the_other(stand: Stand) -> None:
    rate = 0.9
    for n in range(20):
        rate *= 1.04
        assert await stand.eur(rate, EPOCH + n * 10 * MINUTE) == rate


@pytest.mark.parametrize("factor", [1.06, 0.94, 100.0, 0.01])
async def test_a_leap_is_refused_and_named_until_a_second_report_agrees(
    stand: Stand, factor: float
) -> None:
    await stand.eur(0.9, EPOCH)
    leapt = await stand.rates({"EUR": 0.9 * factor, "GBP": 0.8}, EPOCH + 10 * MINUTE)
    assert (dict(leapt.rates), leapt.refused) == ({"GBP": 0.8}, ("EUR",))
    assert await stand.eur(0.9 * factor * 1.01, EPOCH + 20 * MINUTE) == 0.9 * factor * 1.01


@pytest.mark.parametrize("factor", [1.049, 0.951])
async def test_less_than_five_percent_is_no_leap(stand: Stand, factor: float) -> None:
    await stand.eur(1.0, EPOCH)
    assert await stand.eur(factor, EPOCH + 10 * MINUTE) == factor


async def test_two_different_leaps_confirm_nothing(stand: Stand) -> None:
    await stand.eur(0.9, EPOCH)
    for n, rate in enumerate((1.5, 3.0, 1.5, 3.0), 1):
        assert await stand.eur(rate, EPOCH + n * 10 * MINUTE) is None


async def test_a_glitch_between_good_reports_is_forgotten(stand: Stand) -> None:
    await stand.eur(0.9, EPOCH)
    assert await stand.eur(1.5, EPOCH + 10 * MINUTE) is None
    assert await stand.eur(0.9, EPOCH + 20 * MINUTE) == 0.9
    assert await stand.eur(1.5, EPOCH + 30 * MINUTE) is None


async def test_after_a_day_without_reports_a_new_rate_is_believed_at_once(stand: Stand) -> None:
    await stand.eur(0.9, EPOCH)
    assert await stand.eur(1.5, EPOCH + DAY) is None, "comparable for a day"
    assert await Stand().eur(1.5, EPOCH + DAY + MINUTE) == 1.5
    other = Stand()
    await other.eur(0.9, EPOCH)
    assert await other.eur(1.5, EPOCH + DAY + MINUTE) == 1.5


@pytest.mark.parametrize("coin_code", ["BTC", "ETH"])
async def test_a_coin_may_have_moved_by_more_within_hours_without_reports(
    stand: Stand, coin_code: str
) -> None:
    await stand.rates({coin_code: 2e-5, "EUR": 0.9}, EPOCH)
    leapt = await stand.rates({coin_code: 3e-5, "EUR": 1.5}, EPOCH + HOUR)
    assert dict(leapt.rates) == {}
    other = Stand()
    await other.rates({coin_code: 2e-5, "EUR": 0.9}, EPOCH)
    moved = await other.rates({coin_code: 3e-5, "EUR": 1.5}, EPOCH + HOUR + MINUTE)
    assert dict(moved.rates) == {coin_code: 3e-5}


FRIDAY = datetime(2026, 11, 20, tzinfo=UTC)  # two days before EPOCH, a Sunday


async def test_of_two_rates_that_disagree_the_older_one_is_refused(stand: Stand) -> None:
    await stand.eur(0.9, EPOCH)
    for n in range(1, 4):  # however often it is repeated
        at = EPOCH + n * HOUR
        assert await stand.eur(1.1, at, as_of=FRIDAY, source="frankfurter") is None
    assert await stand.eur(0.91, EPOCH + 5 * HOUR) == 0.91


async def test_an_older_rate_that_agrees_is_served_but_does_not_open_the_door(
    stand: Stand,
) -> None:
    """The bank's rate of Friday is no reason to believe whatever comes next."""
    await stand.eur(0.9, EPOCH)
    assert await stand.eur(0.91, EPOCH + HOUR, as_of=FRIDAY, source="frankfurter") == 0.91
    assert await stand.eur(90.0, EPOCH + 2 * HOUR) is None
    assert await stand.eur(0.9, EPOCH + 3 * HOUR) == 0.9


async def test_a_newer_dated_rate_is_believed_with_its_second_report(stand: Stand) -> None:
    await stand.eur(0.9, FRIDAY)
    monday = FRIDAY + timedelta(hours=20)
    assert await stand.eur(1.1, EPOCH, as_of=monday, source="frankfurter") is None
    assert await stand.eur(1.1, EPOCH + HOUR, as_of=monday, source="frankfurter") == 1.1


async def test_currencies_are_checked_one_by_one(stand: Stand) -> None:
    first = {"EUR": 0.9, "BTC": 0.00002, "JPY": 150.0}
    await stand.rates(first, EPOCH)
    second = {"EUR": 0.9, "BTC": 0.00003, "JPY": 151.0, "ETH": 0.0004}
    data = await stand.rates(second, EPOCH + 10 * MINUTE, refused=("XAU",))
    assert set(data.rates) == {"EUR", "JPY", "ETH"}
    assert data.refused == ("XAU", "BTC")


async def test_codes_that_nobody_can_ask_for_are_dropped(stand: Stand) -> None:
    data = await stand.rates({"EUR": 0.9, "DOGE": 5.0, "XAU": 0.0004}, EPOCH)
    assert set(data.rates) == {"EUR"}


@pytest.mark.parametrize("rate", [0.0, -0.9, nan, inf, -inf, 1e31, 1e-31, "0.9", True, None])
def test_what_is_no_rate_is_refused_by_the_model(rate: Any) -> None:
    for made in (
        lambda: ExchangeRates({"EUR": rate}),
        lambda: PastRates(EPOCH, {"EUR": rate}, "coinbase_rates"),
    ):
        with pytest.raises(ValidationError):
            made()


async def test_a_failure_passes_through(stand: Stand) -> None:
    with pytest.raises(AllProvidersFailed):
        await stand.service.conversion("EUR")


async def test_the_slower_answer_of_a_hedged_call_is_checked_too(stand: Stand) -> None:
    await stand.eur(0.9, EPOCH)
    late: Answer[ExchangeRates] = Answer(
        ExchangeRates({"EUR": 9.0, "GBP": 0.8}), "frankfurter", EPOCH + 10 * MINUTE, 1.0
    )

    async def later() -> Answer[ExchangeRates]:
        await asyncio.sleep(0)
        return late

    early = Answer(
        ExchangeRates({"EUR": 0.9}),
        "coinbase_rates",
        EPOCH + 10 * MINUTE,
        1.0,
        late_answer=later,
    )
    stand.upstream.answer = early
    answer = await stand.monitor.fetch(RatesQuery())
    assert answer.late_answer is not None
    data = (await answer.late_answer()).data
    assert (dict(data.rates), data.refused) == ({"GBP": 0.8}, ("EUR",))


def test_its_description_counts(stand: Stand) -> None:
    assert repr(stand.monitor) == "<RatesMonitor 0 currencies, 0 remembered>"


# A day's memory


async def remembered(stand: Stand, minutes: int, every: int = 10) -> Stand:
    """EUR rises by a thousandth an hour; reported each `every` minutes until `minutes`."""
    for minute in range(0, minutes + 1, every):
        await stand.eur(0.9 * (1 + minute / 60_000), EPOCH + minute * MINUTE)
    return stand


async def test_without_memory_the_earlier_rates_are_unknown(stand: Stand) -> None:
    conversion = await (await remembered(stand, 0)).conversion()
    assert (conversion.hour_ago, conversion.day_ago) == (None, None)
    assert conversion.notes == (
        "changes over 1 h, 24 h, 7 d are unknown in EUR: no exchange rate of that time is known",
        "high and low are those in dollars at the present rate of EUR",
    )


@pytest.mark.parametrize("minutes", [60, 90, 150, 600, 1_445, 3_000])
async def test_the_rate_of_an_hour_ago_is_that_of_an_hour_ago(stand: Stand, minutes: int) -> None:
    conversion = await (await remembered(stand, minutes, 5)).conversion()
    expected = 0.9 * (1 + (minutes - 60) / 60_000)
    assert conversion.hour_ago is not None
    tolerance = 0.9 * (NEAR_AN_HOUR / MINUTE) / 60_000
    assert conversion.hour_ago == pytest.approx(expected, abs=tolerance)


async def test_a_rate_of_half_an_hour_ago_is_not_taken_for_that_of_an_hour_ago(
    stand: Stand,
) -> None:
    assert (await (await remembered(stand, 30)).conversion()).hour_ago is None


@pytest.mark.parametrize("minutes", [1_440, 1_500, 2_000, 2_881, 4_000])
async def test_the_rate_of_a_day_ago_is_known_after_a_day(stand: Stand, minutes: int) -> None:
    conversion = await (await remembered(stand, minutes, 10)).conversion()
    expected = 0.9 * (1 + (minutes // 10 * 10 - 1_440) / 60_000)
    assert conversion.day_ago == pytest.approx(expected, abs=0.9 * 45 / 60_000)


async def test_the_memory_is_bounded_and_stays_within_the_day(stand: Stand) -> None:
    await remembered(stand, 3 * 1_440, 5)
    history = stand.monitor._history
    assert len(history) <= 45
    assert history[-1].at - history[0].at <= 25 * HOUR
    assert [past.at for past in history] == sorted(past.at for past in history)


async def test_a_gap_in_the_memory_gives_no_change(stand: Stand) -> None:
    await remembered(stand, 60)
    await stand.eur(0.9, EPOCH + 20 * HOUR)
    conversion = await stand.conversion()
    assert (conversion.hour_ago, conversion.day_ago) == (None, None)
    await stand.eur(0.9, EPOCH + 24 * HOUR + 30 * MINUTE)
    assert (await stand.conversion()).day_ago is not None


async def test_a_currency_that_was_missing_a_day_ago_has_no_change(stand: Stand) -> None:
    await stand.eur(0.9, EPOCH)
    await stand.rates({"EUR": 0.9, "GBP": 0.8}, EPOCH + DAY)
    assert (await stand.conversion("EUR")).day_ago == 0.9
    assert (await stand.conversion("GBP")).day_ago is None


async def test_a_restart_keeps_the_memory_and_goes_on_comparing(stand: Stand) -> None:
    await remembered(stand, 1_440)
    saved = RATES.retention.codec.encoded(RatesQuery(), await stand.monitor.fetch(RatesQuery()))
    kept = RATES.retention.codec.decoded(saved)
    assert kept is not None
    after = Stand()
    after.monitor.adopt(kept.answer)
    assert await after.eur(9.0, EPOCH + DAY + 10 * MINUTE) is None
    await after.eur(0.92, EPOCH + DAY + 20 * MINUTE)
    conversion = await after.conversion()
    assert conversion.day_ago == pytest.approx(0.9, rel=0.001)
    assert conversion.hour_ago == pytest.approx(0.9 * 1.023, rel=0.001)


async def test_an_answer_of_another_process_does_not_shorten_the_memory(stand: Stand) -> None:
    await remembered(stand, 1_440)
    before = len(stand.monitor._history)
    young = Stand()
    await young.eur(0.9, EPOCH + DAY + 5 * MINUTE)
    stand.monitor.adopt(await young.monitor.fetch(RatesQuery()))
    assert len(stand.monitor._history) >= before - 1
    await stand.eur(0.92, EPOCH + DAY + 10 * MINUTE)
    assert (await stand.conversion()).day_ago is not None


async def test_an_old_answer_of_another_process_does_not_replace_a_newer_rate(
    stand: Stand,
) -> None:
    await stand.eur(0.9, EPOCH)
    old: Answer[ExchangeRates] = Answer(
        ExchangeRates({"EUR": 0.5}), "frankfurter", EPOCH - DAY, 1.0
    )
    stand.monitor.adopt(old)
    assert await stand.eur(0.9, EPOCH + MINUTE) == 0.9


# Amounts


FULL = coin(
    "bitcoin",
    "BTC",
    1,
    price=50_000.0,
    market_cap=1e12,
    volume_24h=2e10,
    high_24h=51_000.0,
    low_24h=48_000.0,
    price_change_24h=1_000.0,
    price_change_percentage_24h=1_000 / 490,
    price_change_percentage_1h=1.0,
    price_change_percentage_7d=7.0,
    circulating_supply=2e7,
)
AMOUNTS = ("price", "market_cap", "volume_24h", "high_24h", "low_24h")
CHANGES = (
    "price_change_24h",
    "price_change_percentage_24h",
    "price_change_percentage_1h",
    "price_change_percentage_7d",
)


def conversion(rate: float = 0.8, **given: Any) -> Conversion:
    return Conversion("EUR", rate, "coinbase_rates", EPOCH, **given)


def test_amounts_are_multiplied_once_and_everything_else_stays() -> None:
    row = conversion().coin(FULL)
    for name in AMOUNTS:
        assert getattr(row, name) == pytest.approx(getattr(FULL, name) * 0.8)
    others = {one.name for one in fields(Coin)} - {*AMOUNTS, *CHANGES}
    assert {name: getattr(row, name) for name in others} == {
        name: getattr(FULL, name) for name in others
    }
    assert FULL.price == 50_000.0, "the row of all readers is not touched"


def test_changes_are_those_of_the_converted_price() -> None:
    row = conversion(0.8, day_ago=0.9, hour_ago=0.81).coin(FULL)
    was_a_day_ago = 49_000 * 0.9
    assert row.price_change_24h == pytest.approx(40_000 - was_a_day_ago)
    assert row.price_change_percentage_24h == pytest.approx((40_000 / was_a_day_ago - 1) * 100)
    assert row.price_change_percentage_1h == pytest.approx((1.01 * 0.8 / 0.81 - 1) * 100)
    assert row.price_change_percentage_7d is None
    assert "changes over 7 d are unknown in EUR" in conversion(day_ago=1.0, hour_ago=1.0).notes[0]


def test_a_coin_in_itself_has_no_change() -> None:
    in_bitcoin = Conversion("BTC", 1 / 50_000, "x", EPOCH, day_ago=1 / 49_000, hour_ago=1.01 / 5e4)
    row = in_bitcoin.coin(FULL)
    assert row.price == pytest.approx(1)
    assert row.price_change_24h == pytest.approx(0, abs=1e-9)
    assert row.price_change_percentage_24h == pytest.approx(0, abs=1e-9)
    assert row.price_change_percentage_1h == pytest.approx(0, abs=1e-9)


def test_unknown_stays_unknown() -> None:
    empty = FULL.without_figures()
    row = conversion(day_ago=0.9, hour_ago=0.9).coin(empty)
    assert {getattr(row, name) for name in (*AMOUNTS, *CHANGES)} == {None}


def test_a_change_without_a_price_is_unknown() -> None:
    row = conversion(day_ago=0.9).coin(coin("x", "X", 1, price=None, price_change_24h=5.0))
    assert row.price_change_24h is None


def test_a_volume_of_zero_stays_zero() -> None:
    assert conversion().coin(coin("x", "X", 1, volume_24h=0.0)).volume_24h == 0


def test_the_market_cap_in_a_small_currency_is_no_error() -> None:
    """Bitcoin's in rials of 2026: more than any market cap in dollars may be."""
    row = conversion(1_100_000.0).coin(FULL)
    assert row.market_cap == pytest.approx(1.1e18)


@given(
    rate=st.floats(1e-30, 1e30, exclude_min=True, exclude_max=True),
    before=st.none() | st.floats(1e-30, 1e30, exclude_min=True, exclude_max=True),
    price=st.floats(1e-30, 1e30, exclude_min=True, exclude_max=True),
    change=st.none() | st.floats(-1e30, 1e30, exclude_min=True, exclude_max=True),
)
def test_any_rate_of_any_row_gives_a_row(
    rate: float, before: float | None, price: float, change: float | None
) -> None:
    row = coin(
        "x", "X", 1, price=price, price_change_24h=change, price_change_percentage_24h=change
    )
    converted = conversion(rate, day_ago=before, hour_ago=before).coin(row)
    assert converted.price is None or 0 < converted.price < 1e30


# Which currency


async def test_a_currency_without_a_rate_has_no_conversion(stand: Stand) -> None:
    await stand.eur(0.9, EPOCH)
    answer, missing = await stand.service.conversion("GBP")
    assert missing is None
    assert answer.sources == ("coinbase_rates",)


async def test_the_rate_is_named_with_its_source_and_its_time(stand: Stand) -> None:
    await stand.eur(0.9, EPOCH)
    live = await stand.conversion()
    assert (live.source, live.as_of) == ("coinbase_rates", EPOCH)
    await stand.eur(0.9, EPOCH + HOUR, as_of=FRIDAY, source="frankfurter")
    dated = await stand.conversion()
    assert (dated.source, dated.as_of) == ("frankfurter", FRIDAY)


def test_the_list_of_currencies_has_each_code_once() -> None:
    assert len(set(CURRENCIES)) == len(CURRENCIES)
    assert {"USD", "EUR", "GBP", "JPY", "CHF", "INR", "BRL", "BTC", "ETH"} <= set(CURRENCIES)
    assert all(len(code) == 3 and code.isalpha() and code.isupper() for code in CURRENCIES)


# Stale rates


class OldRates:
    """Rates that could not be refreshed for `age_s` seconds."""

    def __init__(self, age_s: float) -> None:
        self.age_s = age_s

    async def fetch(self, _query: RatesQuery) -> Answer[ExchangeRates]:
        rates = ExchangeRates({"EUR": 0.9, "BTC": 0.00002})
        return Answer(
            rates, "somebody", EPOCH, 1.0, stale=True, stale_reason="timeout", age_s=self.age_s
        )


async def test_a_stale_rate_says_so() -> None:
    _, conversion = await CurrencyService(OldRates(5 * 3_600.0)).conversion("EUR")
    assert conversion is not None
    note = "the rate of EUR is stale (timeout): see `fx.as_of`"
    assert conversion.notes[0] == note
    assert conversion.notes_on_change()[0] == note


@pytest.mark.parametrize(("age_s", "is_known"), [(3_000.0, True), (4_000.0, False)])
async def test_the_rate_of_a_coin_is_not_used_when_it_is_older_than_an_hour(
    age_s: float, is_known: bool
) -> None:
    _, conversion = await CurrencyService(OldRates(age_s)).conversion("BTC")
    assert (conversion is not None) is is_known


# A currency that only the first provider has


async def test_a_currency_that_the_fallback_lacks_keeps_its_last_rate_with_its_own_source() -> None:
    class Sources:
        def __init__(self) -> None:
            self.answers = [
                Answer(ExchangeRates({"EUR": 0.9, "BTC": 2e-5}), "coinbase_rates", EPOCH, 1.0),
                Answer(
                    ExchangeRates({"EUR": 0.91}, EPOCH - timedelta(days=1)),
                    "frankfurter",
                    EPOCH + timedelta(minutes=20),
                    1.0,
                ),
            ]

        async def fetch(self, query: RatesQuery) -> Answer[ExchangeRates]:
            return self.answers.pop(0)

    service = CurrencyService(RatesMonitor(Sources()))
    await service.conversion("EUR")
    answer, conversion = await service.conversion("BTC")
    assert answer.source == "frankfurter"
    assert conversion is not None
    assert (conversion.rate, conversion.source, conversion.as_of) == (2e-5, "coinbase_rates", EPOCH)


async def test_the_last_rate_of_a_coin_is_used_for_an_hour_only() -> None:
    class Late:
        async def fetch(self, query: RatesQuery) -> Answer[ExchangeRates]:
            older = {"BTC": OlderRate(2e-5, "coinbase_rates", EPOCH)}
            data = ExchangeRates({"EUR": 0.9}, older=older | {"RUB": replace(older["BTC"])})
            return Answer(data, "frankfurter", EPOCH + timedelta(minutes=61), 1.0)

    service = CurrencyService(Late())
    assert (await service.conversion("BTC"))[1] is None
    assert (await service.conversion("RUB"))[1] is not None


async def test_changes_are_never_between_the_rates_of_two_sources() -> None:
    past = PastRates(EPOCH - timedelta(days=1), {"EUR": 0.9}, "frankfurter")

    class Live:
        async def fetch(self, query: RatesQuery) -> Answer[ExchangeRates]:
            data = ExchangeRates({"EUR": 0.92}, history=(past,))
            return Answer(data, self.source, EPOCH, 1.0)

        source = "coinbase_rates"

    live = Live()
    service = CurrencyService(live)
    _, conversion = await service.conversion("EUR")
    assert conversion is not None
    assert conversion.day_ago is None
    live.source = "frankfurter"
    _, conversion = await service.conversion("EUR")
    assert conversion is not None
    assert conversion.day_ago == 0.9
