"""What a view of the market needs besides the list: single coins, a currency, sparklines."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from api.cache.formats import csv_table, json_envelope
from backend.errors import (
    AllProvidersFailed,
    GatewayError,
    NotReady,
    UnknownSymbol,
)
from backend.models.answer import Answer
from backend.models.coins import CoinList, CoinQuery, Sparklines
from backend.models.market import Coin, CoinWithSparkline, Market
from backend.models.rates import ExchangeRates, PastRates
from backend.services.currency import CurrencyService
from backend.services.market.coin_names import CoinNames
from backend.services.market.service import (
    MOST_HELPED,
    MOST_NAMES,
    Additions,
    MarketService,
    MarketView,
)
from backend.services.market.symbols import CoinDirectory, SymbolIndex
from backend.services.page import Page
from tests.clocks import EPOCH, ManualClock
from tests.services.market.test_service import coin

DOWN = AllProvidersFailed("down")
ALPHA = coin("alpha", "ALP", 1, price=100.0, price_change_24h=10.0, market_cap=1e9)
BETA = coin("beta", "BET", 2, price=10.0, price_change_24h=5.0)
CAPPED = coin("gamma", "GAM", 3, price=1.0, price_change_24h=0.5)
LISTED = Market((ALPHA, BETA, CAPPED), True)
FAR, COUSIN = coin("far", "FAR", 400, price=0.25), coin("far-cousin", "FAR", 900, price=9.0)
BEYOND = {one.id: one for one in (FAR, COUSIN)}
NAMES = CoinList({"far": ("FAR", "Far"), "far-cousin": ("FAR", "Cousin"), "dead": ("DED", "D")}, {})


class Valid:
    def __init__(self) -> None:
        self.is_valid, self.hits = True, 0

    def current_age_s(self) -> float | None:
        return 1.0 if self.is_valid else None

    def note_hit(self) -> None:
        self.hits += 1


class Given:
    """A source of one answer, or of an error."""

    def __init__(self, data: Any, refresh_id: int) -> None:
        self.data, self.refresh_id = data, refresh_id
        self.error: GatewayError | None = None
        self.validity: Valid | None = Valid()
        self.stale_reason: str | None = None
        self.asked: list[Any] = []

    async def fetch(self, query: Any) -> Answer[Any]:
        self.asked.append(query)
        if self.error:
            raise self.error
        source = "coinbase_rates" if isinstance(self.data, ExchangeRates) else "coingecko_free"
        return Answer(
            self._data_of(query),
            source,
            EPOCH,
            1.0,
            refresh_id=self.refresh_id,
            validity=self.validity,
            stale=self.stale_reason is not None,
            stale_reason=self.stale_reason,
        )

    def _data_of(self, query: Any) -> Any:
        if not isinstance(query, CoinQuery):
            return self.data
        found = (
            one for one in BEYOND.values() if query in (CoinQuery(str(one.id)), _by_ticker(one))
        )
        return next(found, None)


def _by_ticker(row: Coin) -> CoinQuery:
    return CoinQuery(symbol=row.symbol)


class Stand:
    def __init__(self, market: Market = LISTED) -> None:
        self.market = Given(market, 100)
        self.list, self.coins = Given(NAMES, 200), Given(None, 300)
        self.rates = Given(ExchangeRates({"EUR": 0.8}), 400)
        self.lines = Given(Sparklines({"alpha": (1.0, 2.0)}), 500)
        directory = CoinDirectory(self.market)
        names = CoinNames(self.list, self.coins, directory, clock=ManualClock())
        self.service = MarketService(directory, names, CurrencyService(self.rates), self.lines)

    async def asked(self, **view: Any) -> tuple[Answer[Market], Additions]:
        return await self.service.asked(MarketView(**view))

    async def page(self, **view: Any) -> Page[tuple[Coin, ...]]:
        made = MarketView(**view)
        answer, additions = await self.service.asked(made)
        return self.service.top(answer.data, made, additions)

    def remember(self, day_ago: float | None, hour_ago: float | None = None) -> None:
        past = [
            PastRates(EPOCH - timedelta(hours=hours), {"EUR": rate}, "coinbase_rates")
            for hours, rate in ((24, day_ago), (1, hour_ago))
            if rate
        ]
        self.rates.data = ExchangeRates({"EUR": 0.8}, history=tuple(past))


@pytest.fixture
def stand() -> Stand:
    return Stand()


def ids(page: Page[tuple[Coin, ...]]) -> list[str | None]:
    return [row.id for row in page.rows]


# Without additions


async def test_a_plain_view_asks_for_nothing_besides_the_list(stand: Stand) -> None:
    answer, additions = await stand.asked()
    assert additions == Additions()
    assert answer.validity is stand.market.validity
    for source in (stand.list, stand.coins, stand.rates, stand.lines):
        assert source.asked == []


async def test_names_of_the_list_cost_nothing_besides(stand: Stand) -> None:
    await stand.asked(names=("ALP", "beta", "GAMUSDT"))
    assert (stand.list.asked, stand.coins.asked) == ([], [])


async def test_while_no_list_is_known_no_name_is_looked_up_elsewhere() -> None:
    stand = Stand(Market((coin(None, "ALP", None),), False))
    with pytest.raises(NotReady):
        await stand.page(names=("far",))
    assert stand.list.asked == []


# Coins beyond the list


async def test_a_coin_beyond_the_list_is_a_row_among_the_others(stand: Stand) -> None:
    page = await stand.page(names=("far", "ALP"))
    assert page.rows == (ALPHA, FAR)
    assert page.total == 2


async def test_the_answer_is_reusable_only_while_that_of_the_coin_is(stand: Stand) -> None:
    answer, additions = await stand.asked(names=("far",))
    assert additions.refresh_ids == (300, 100)
    assert answer.validity
    assert answer.validity.current_age_s() == 1.0
    assert stand.coins.validity
    stand.coins.validity.is_valid = False
    assert answer.validity.current_age_s() is None


async def test_a_stale_coin_makes_the_answer_unrepeatable(stand: Stand) -> None:
    stand.coins.validity = None
    answer, _ = await stand.asked(names=("far",))
    assert answer.validity is None


async def test_the_provenance_of_one_coin_beyond_the_list_is_its_own(stand: Stand) -> None:
    stand.coins.stale_reason = "timeout"
    answer, additions = await stand.asked(names=("far",))
    assert (answer.refresh_id, answer.stale, answer.stale_reason) == (300, True, "timeout")
    assert answer.data is LISTED
    assert 100 in additions.refresh_ids


async def test_a_stale_row_among_those_of_the_list_is_named(stand: Stand) -> None:
    stand.coins.stale_reason = "timeout"
    answer, additions = await stand.asked(names=("ALP", "far"))
    assert (answer.refresh_id, answer.stale) == (100, False)
    assert additions.warnings == ("the row of 'far' is stale: timeout",)


async def test_one_coin_by_two_names_is_one_row(stand: Stand) -> None:
    page = await stand.page(names=("far", "FAR"))
    assert ids(page) == ["far"]


async def test_a_coin_of_a_shared_ticker_says_so(stand: Stand) -> None:
    page = await stand.page(names=("FAR",))
    assert "of 2 coins with this ticker" in page.warnings[0]
    assert (await stand.page(names=("far-cousin",))).warnings == ()


async def test_an_unknown_name_among_known_ones_is_a_warning(stand: Stand) -> None:
    page = await stand.page(names=("ALP", "xyzzy", "dead"))
    assert ids(page) == ["alpha"]
    assert len(page.warnings) == 2


async def test_of_many_unknown_names_few_get_suggestions(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs a millisecond, in which the gateway does nothing else."""
    asked: list[str] = []

    def suggestions(_index: SymbolIndex, name: str) -> tuple[str, ...]:
        asked.append(name)
        return ()

    monkeypatch.setattr(SymbolIndex, "suggestions", suggestions)
    await stand.page(names=("ALP", *(f"xyzzy-{n}" for n in range(MOST_NAMES - 1))))
    assert asked == [f"xyzzy-{n}" for n in range(MOST_HELPED)]


async def test_only_unknown_names_are_an_error(stand: Stand) -> None:
    with pytest.raises(UnknownSymbol):
        await stand.page(names=("xyzzy", "dead"))


async def test_a_failed_lookup_among_known_names_is_a_warning(stand: Stand) -> None:
    stand.coins.error = DOWN
    answer, additions = await stand.asked(names=("ALP", "far"))
    assert additions.not_looked_up == ("far",)
    assert answer.validity is None
    page = stand.service.top(answer.data, MarketView(names=("ALP", "far")), additions)
    assert page.warnings == ("'far' is not in the list, and could not be looked up",)


async def test_a_failed_lookup_of_all_names_is_the_error(stand: Stand) -> None:
    stand.list.error = DOWN
    with pytest.raises(AllProvidersFailed):
        await stand.asked(names=("far", "xyzzy"))


async def test_a_bug_in_a_lookup_is_not_hidden(stand: Stand) -> None:
    stand.coins.error = ZeroDivisionError()  # type: ignore[assignment]
    with pytest.raises(ZeroDivisionError):
        await stand.asked(names=("ALP", "far"))


async def test_a_lookup_that_failed_is_no_version_of_one_that_found_nothing(stand: Stand) -> None:
    """Both have the refresh ids of no coin: the view of one must not be shown for the other."""
    stand.coins.error = DOWN
    _, failed = await stand.asked(names=("ALP", "far"))
    stand.coins.error = None
    _, unknown = await stand.asked(names=("ALP", "dead"))
    assert failed.refresh_ids == unknown.refresh_ids == ()
    assert failed.version != unknown.version


async def test_single_coins_have_no_ranks_in_a_list_of_other_ranks() -> None:
    stand = Stand(replace(LISTED, rank_source="coinmarketcap"))
    page = await stand.page(names=("far", "ALP"))
    assert [row.market_cap_rank for row in page.rows] == [1, None]
    assert [row.price for row in page.rows] == [100.0, 0.25]


async def test_one_coin_beyond_the_list(stand: Stand) -> None:
    view = MarketView(names=("far",), currency="EUR", sparkline=True)
    answer, additions = await stand.service.asked(view)
    page = stand.service.coin(answer.data, "far", additions)
    assert page.rows.price == pytest.approx(0.2)
    assert isinstance(page.rows, CoinWithSparkline)
    assert page.rows.sparkline_7d is None


# A currency


async def test_amounts_are_converted_once(stand: Stand) -> None:
    for _ in range(3):
        page = await stand.page(currency="EUR", limit=1)
        assert page.rows[0].price == pytest.approx(80.0)
        assert page.rows[0].market_cap == pytest.approx(8e8)
    assert ALPHA.price == 100.0
    assert page.currency == "EUR"
    assert page.conversion
    assert page.conversion.rate == 0.8


async def test_coins_beyond_the_list_are_converted_once_too(stand: Stand) -> None:
    page = await stand.page(currency="EUR", names=("far", "ALP"))
    assert [row.price for row in page.rows] == [pytest.approx(80.0), pytest.approx(0.2)]


async def test_the_view_changes_with_the_rate(stand: Stand) -> None:
    answer, before = await stand.asked(currency="EUR")
    assert stand.rates.validity
    stand.rates.validity.is_valid = False
    assert answer.validity
    assert answer.validity.current_age_s() is None
    stand.rates.refresh_id += 1
    _, after = await stand.asked(currency="EUR")
    assert (before.refresh_ids, after.refresh_ids) == ((400,), (401,))
    assert before.version != after.version


async def test_a_currency_without_a_rate_gives_nulls_and_a_named_warning(stand: Stand) -> None:
    page = await stand.page(currency="GBP", limit=1, sparkline=True)
    (row,) = page.rows
    assert (row.id, row.market_cap_rank, row.price, row.market_cap) == ("alpha", 1, None, None)
    assert page.warnings == (
        "sparklines are unknown in GBP",
        "amounts are unknown: coinbase_rates has no rate of GBP",
    )
    assert (page.currency, page.conversion) == ("GBP", None)
    assert isinstance(row, CoinWithSparkline)
    assert row.sparkline_7d is None, "these are dollars"


async def test_while_no_provider_has_rates_the_amounts_are_unknown(stand: Stand) -> None:
    stand.rates.error = DOWN
    page = await stand.page(currency="EUR")
    assert {row.price for row in page.rows} == {None}
    assert any("amounts are unknown" in warning for warning in page.warnings)
    assert (page.currency, page.conversion) == ("EUR", None)


async def test_sparklines_are_never_shown_in_another_currency(stand: Stand) -> None:
    page = await stand.page(currency="EUR", limit=1, sparkline=True)
    assert isinstance(page.rows[0], CoinWithSparkline)
    assert page.rows[0].sparkline_7d is None
    assert "sparklines are unknown in EUR" in page.warnings
    assert stand.lines.asked == []


@pytest.mark.parametrize("sign", ["", "-"])
async def test_rows_are_sorted_by_the_amounts_that_are_shown(stand: Stand, sign: str) -> None:
    """The dollar rose by a quarter: in euros the changes have another order than in dollars."""
    stand.remember(day_ago=0.64)
    in_dollars = await stand.page(sort=f"{sign}price_change_24h")
    in_euros = await stand.page(sort=f"{sign}price_change_24h", currency="EUR")
    shown = [row.price_change_24h for row in in_euros.rows]
    assert shown == sorted(shown, reverse=bool(sign))  # type: ignore[type-var]
    assert shown == pytest.approx(
        sorted([80 - 90 * 0.64, 8 - 5 * 0.64, 0.8 - 0.32], reverse=bool(sign))
    )
    assert sorted(ids(in_dollars), key=str) == sorted(ids(in_euros), key=str)


async def test_the_order_by_change_can_differ_from_that_in_dollars(stand: Stand) -> None:
    rising = coin("rising", "RIS", 1, price=10.0, price_change_24h=2.0)
    large = coin("large", "LAR", 2, price=1_000.0, price_change_24h=1.0)
    stand.market.data = Market((rising, large), True)
    stand.remember(day_ago=0.81)  # the euro rose: what is dear lost more of them
    assert ids(await stand.page(sort="price_change_24h")) == ["large", "rising"]
    assert ids(await stand.page(sort="-price_change_24h", currency="EUR")) == ["rising", "large"]
    stand.remember(day_ago=0.7)
    assert ids(await stand.page(sort="price_change_24h", currency="EUR")) == ["rising", "large"]


@pytest.mark.parametrize(
    "field",
    [
        "price_change_24h",
        "price_change_percentage_24h",
        "price_change_percentage_1h",
        "price_change_percentage_7d",
    ],
)
async def test_unknown_changes_leave_the_order_by_rank(stand: Stand, field: str) -> None:
    """Without the rates of that time all are null: the order must not tell what they hide."""
    rows = [
        coin(f"c{n}", f"C{n}", n, **{field: float(value)}) for n, value in enumerate((3, 1, 2), 1)
    ]
    stand.market.data = Market(tuple(rows), True)
    page = await stand.page(sort=field, currency="EUR")
    assert ids(page) == ["c1", "c2", "c3"]
    assert {getattr(row, field) for row in page.rows} == {None}


async def test_the_changes_that_are_unknown_are_named(stand: Stand) -> None:
    stand.remember(day_ago=0.81)
    page = await stand.page(currency="EUR")
    assert page.warnings == (
        "changes over 1 h, 7 d are unknown in EUR: no exchange rate of that time is known",
        "high and low are those in dollars at the present rate of EUR",
    )


# Sparklines


async def test_sparklines_come_with_the_rows_that_have_one(stand: Stand) -> None:
    page = await stand.page(sparkline=True)
    lines = [row.sparkline_7d for row in page.rows if isinstance(row, CoinWithSparkline)]
    assert lines == [(1.0, 2.0), None, None]
    assert page.warnings == ()


async def test_without_sparklines_the_rows_come_with_a_warning(stand: Stand) -> None:
    stand.lines.error = DOWN
    answer, additions = await stand.asked(sparkline=True)
    assert additions.warnings == ("sparklines are unknown: down",)
    assert answer.validity is None
    page = stand.service.top(answer.data, MarketView(sparkline=True), additions)
    assert [row.sparkline_7d for row in page.rows if isinstance(row, CoinWithSparkline)] == [
        None
    ] * 3


async def test_all_additions_together_are_counted_in_the_version(stand: Stand) -> None:
    _, additions = await stand.asked(names=("far", "ALP"), sparkline=True)
    assert additions.refresh_ids == (300, 500)
    _, additions = await stand.asked(names=("far", "ALP"), currency="EUR")
    assert additions.refresh_ids == (300, 400)


# Formats


async def test_the_envelope_names_the_currency_and_the_rate(stand: Stand) -> None:
    answer, _ = await stand.asked()
    body, _ = json_envelope(answer, await stand.page(currency="EUR", limit=1))
    assert b'"currency":"EUR"' in body
    assert b'"fx":{"source":"coinbase_rates","rate":0.8,"as_of":"2026-11-22T08:00:00.000Z"}' in body
    plain, _ = json_envelope(answer, await stand.page(limit=1))
    assert b'"currency":"USD","fx":null' in plain


async def test_a_table_has_the_converted_amounts_and_the_sparkline_in_one_cell(
    stand: Stand,
) -> None:
    answer, _ = await stand.asked()
    encode = csv_table(CoinWithSparkline)
    table = encode(answer, await stand.page(sparkline=True))[0].decode().splitlines()
    assert table[0].endswith(",price_change_percentage_7d,sparkline_7d")
    assert table[1].endswith(",1.0 2.0")
    assert table[2].endswith(",")
    euros = encode(answer, await stand.page(sparkline=True, currency="EUR"))[0].decode()
    assert ",80.0," in euros
