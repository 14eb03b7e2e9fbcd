"""CoinGecko's single coins, the names of all coins, and sparklines; their traps, one by one."""

from math import inf, nan
from typing import Any

import pytest

from backend.models.coins import (
    CoinList,
    CoinListQuery,
    CoinQuery,
    CoinsQuery,
    Sparklines,
    SparklinesQuery,
    plausible_price,
)
from backend.models.market import Ranking
from backend.providers.vendors import coingecko_coins
from tests.providers.vendors.test_coingecko import coin_row, context, markets

ADDRESS = "0xAAAAaaaa00000000000000000000000000000001"


def coins(query: CoinsQuery, *rows: Any) -> Ranking:
    return coingecko_coins.parse_coins(query, [list(rows)], context())


def by_ids(*rows: Any, ids: tuple[str, ...] = ("bitcoin", "far-away")) -> Ranking:
    return coins(CoinsQuery(ids), *rows)


def asked(query: CoinsQuery) -> dict[str, str]:
    (call,) = coingecko_coins.build_coins(query, context())
    assert call.path == "/coins/markets"
    return dict(call.params)


# The question


def test_coins_are_asked_for_by_id_in_one_page() -> None:
    params = asked(CoinsQuery(("a", "b")))
    assert (params["ids"], params["per_page"]) == ("a,b", "250")
    assert params["price_change_percentage"] == "1h,7d"
    assert not {"symbols", "include_tokens"} & params.keys()


def test_tickers_are_asked_for_in_small_letters_and_with_the_best_coin_of_each() -> None:
    params = asked(CoinsQuery(symbols=("FAR", "BTC.B")))
    assert (params["symbols"], params["include_tokens"]) == ("far,btc.b", "top")
    assert "ids" not in params


@pytest.mark.parametrize(
    ("query", "subject"),
    [
        (CoinsQuery(("a", "b"), ("C",)), "3 coins beyond the list"),
        (CoinQuery("far-away"), "coin far-away"),
        (CoinQuery(symbol="FAR"), "coin FAR"),
    ],
)
def test_the_queries_say_their_subjects(query: Any, subject: str) -> None:
    assert query.subject == subject


# Single coins


def test_only_the_coins_of_the_query_are_kept_and_the_others_are_named() -> None:
    found = by_ids(coin_row(), coin_row(id="other", symbol="oth"))
    assert [one.id for one in found.coins] == ["bitcoin"]
    assert found.refused == ("other",)


def test_coins_are_found_by_ticker_best_rank_first() -> None:
    rows = [coin_row(id=f"btc-{rank}", market_cap_rank=rank) for rank in (900, None, 400)]
    found = coins(CoinsQuery(symbols=("BTC",)), *rows)
    assert [one.market_cap_rank for one in found.coins] == [400, 900, None]


def test_no_row_means_that_no_coin_has_a_market() -> None:
    assert by_ids() == Ranking(())


def test_rows_of_other_coins_only_show_that_the_query_was_not_read() -> None:
    """Else every coin beyond the list would be unknown while the vendor ignores `ids`."""
    with pytest.raises(ValueError, match="asked for"):
        by_ids(*(coin_row(id=f"top-{n}") for n in range(250)))


@pytest.mark.parametrize("payload", [None, {}, {"coins": []}, "[]", 7])
def test_what_is_no_list_is_refused(payload: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        coingecko_coins.parse_coins(CoinsQuery(("bitcoin",)), [payload], context())


def test_more_rows_than_pages_have_are_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        by_ids(*(coin_row(id=f"c-{n}") for n in range(501)))


@pytest.mark.parametrize(
    "changes",
    [
        {"current_price": 0},
        {"current_price": -1.5},
        {"current_price": nan},
        {"current_price": "12"},
        {"high_24h": 10, "low_24h": 20},
        {"current_price": 1e6, "high_24h": 10},
        {"market_cap": 1e14},
        {"market_cap": 2e18, "circulating_supply": None},
        {"total_volume": -1},
        {"price_change_24h": inf},
        {"last_updated": "yesterday"},
        {"last_updated": "2026-11-22T08:00:00"},
    ],
)
def test_implausible_figures_cost_the_coin_its_figures_and_not_the_provider_its_name(
    changes: dict[str, Any],
) -> None:
    """A reader chooses the coin: one that is hardly traded must not stop CoinGecko for all."""
    found = by_ids(coin_row(**changes))
    (row,) = found.coins
    assert (row.id, row.symbol, row.market_cap_rank) == ("bitcoin", "BTC", 1)
    figures = (row.price, row.market_cap, row.volume_24h, row.high_24h, row.last_updated)
    assert figures == (None,) * 5
    assert found.refused == ()
    with pytest.raises(ValueError, match="malformed"):
        markets(coin_row(**changes))


def test_an_unknown_price_is_no_error() -> None:
    (row,) = by_ids(coin_row(current_price=None, market_cap=0, market_cap_rank=None)).coins
    assert (row.price, row.market_cap, row.market_cap_rank) == (None, None, None)


def test_a_coin_that_was_traded_years_ago_shows_its_age() -> None:
    (row,) = by_ids(coin_row(last_updated="2019-01-01T00:00:00.000Z")).coins
    assert row.last_updated
    assert row.last_updated.year == 2019
    assert row.price == 50_000.0


def test_a_row_from_the_future_is_left_out() -> None:
    found = by_ids(coin_row(last_updated="2027-01-01T00:00:00.000Z"), coin_row(id="far-away"))
    assert [one.id for one in found.coins] == ["far-away"]
    assert found.refused == ("bitcoin",)
    alone = by_ids(coin_row(last_updated="2027-01-01T00:00:00.000Z"))
    assert alone == Ranking((), ("bitcoin",))


@pytest.mark.parametrize(
    "broken", [None, [], {}, {"id": None}, coin_row(symbol=None), coin_row(id="a\nb"), "x"]
)
def test_a_malformed_row_costs_itself(broken: Any) -> None:
    found = by_ids(coin_row(), broken, coin_row(id="far-away"))
    assert [one.id for one in found.coins] == ["bitcoin", "far-away"]
    assert len(found.refused) == 1


def test_renamed_fields_are_refused() -> None:
    row = coin_row()
    row["price"] = row.pop("current_price")
    with pytest.raises(ValueError, match="malformed"):
        by_ids(row)


def test_a_repeated_row_counts_once() -> None:
    assert len(by_ids(coin_row(), coin_row(current_price=49_500)).coins) == 1


def test_changes_over_an_hour_and_a_week_are_read() -> None:
    changes = {
        "price_change_percentage_1h_in_currency": 0.25,
        "price_change_percentage_7d_in_currency": -4.5,
    }
    (row,) = by_ids(coin_row(**changes)).coins
    assert (row.price_change_percentage_1h, row.price_change_percentage_7d) == (0.25, -4.5)
    (listed,) = markets(coin_row(**changes)).coins
    assert (listed.price_change_percentage_1h, listed.price_change_percentage_7d) == (0.25, -4.5)
    (without,) = markets(coin_row()).coins
    assert (without.price_change_percentage_1h, without.price_change_percentage_7d) == (None, None)


# The names of all coins


def names_of(*rows: Any) -> CoinList:
    return coingecko_coins.parse_list(CoinListQuery(), [list(rows)], context())


def name(**changes: Any) -> dict[str, Any]:
    row = {"id": "far-away", "symbol": "far", "name": "Far Away", "platforms": {"eth": ADDRESS}}
    return row | changes


def test_names_and_contracts_are_read() -> None:
    found = names_of(name(), name(id="native", symbol="nat", platforms={"": ""}))
    assert found.names["far-away"] == ("FAR", "Far Away")
    assert dict(found.contracts) == {ADDRESS.lower(): "far-away"}
    assert repr(found) == "<CoinList 2 coins, 1 contracts>"


@pytest.mark.parametrize(
    "platforms", [None, {}, {"eth": None}, {"eth": ""}, {"eth": 7}, {"e": "x" * 201}]
)
def test_a_coin_without_a_usable_address_is_kept(platforms: Any) -> None:
    found = names_of(name(platforms=platforms))
    assert (set(found.names), found.contracts) == ({"far-away"}, {})


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"id": None},
        {"symbol": ""},
        {"name": ""},
        {"name": None},
        {"name": "x" * 201},
        {"name": "a\nb"},
        {"symbol": "a\u202eb"},
        {"platforms": [ADDRESS]},
        {"platforms": {f"chain-{n}": ADDRESS for n in range(201)}},
    ],
)
def test_a_malformed_name_costs_itself(changes: dict[str, Any]) -> None:
    found = names_of(name(id="one"), name(**changes), name(id="two"))
    assert set(found.names) == {"one", "two"}


@pytest.mark.parametrize("rows", [[], [None, None, name()], [{"id": "a"}] * 3])
def test_a_junk_list_is_refused(rows: list[Any]) -> None:
    with pytest.raises(ValueError, match="malformed"):
        names_of(*rows)


def test_a_list_that_is_far_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        names_of(*([name()] * (coingecko_coins.MOST_COINS + 1)))


@pytest.mark.parametrize("payload", [None, {}, {"error": "x"}, "x"])
def test_a_list_that_is_none_is_refused(payload: Any) -> None:
    with pytest.raises(TypeError):
        coingecko_coins.parse_list(CoinListQuery(), [payload], context())


# Sparklines


def sparklines(*rows: Any) -> Sparklines:
    return coingecko_coins.parse_sparklines(SparklinesQuery(), [list(rows)], context())


def line(*prices: Any, **changes: Any) -> dict[str, Any]:
    return {"id": "bitcoin", "sparkline_in_7d": {"price": list(prices)}} | changes


def test_sparklines_are_the_prices_by_id_and_empty_ones_are_unknown() -> None:
    found = sparklines(line(1, 2.5), line(id="new"))
    assert dict(found.prices) == {"bitcoin": (1.0, 2.5)}
    assert found.refused == ()
    assert repr(found) == "<Sparklines 1 coins>"


@pytest.mark.parametrize(
    "broken",
    [
        line(1, None),
        line(1, 0),
        line(-1),
        line(nan),
        line(inf),
        line("1"),
        line(True),
        line(*range(1, 203)),
        line(1, id=None),
        line(1, sparkline_in_7d=None),
        line(1, sparkline_in_7d={}),
        None,
    ],
)
def test_a_malformed_sparkline_costs_itself(broken: Any) -> None:
    found = sparklines(line(1, id="one"), broken, line(2, id="two"))
    assert dict(found.prices) == {"one": (1.0,), "two": (2.0,)}
    assert len(found.refused) == 1


@pytest.mark.parametrize("value", [1, 1.5, 1e-29, 1e29])
def test_a_plausible_price(value: float) -> None:
    assert plausible_price(value) == value
