"""CoinMarketCap: its list, the whole market, its index, its error codes, with and without a key.

What it shares with the other index is in test_indices.py.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.errors import AuthFailed, PlanRestricted, ProviderError, QuotaSpent, RateLimited
from backend.models.global_market import GlobalMarket, GlobalQuery
from backend.models.market import Coin, ForeignRanking, ListedCoin, QuotesQuery
from backend.models.ohlc import DAY
from backend.models.sentiment import FearGreed, FearGreedSeries, SentimentQuery
from backend.providers.adapter import Auth, Call, Context, Plan, Window
from backend.providers.refusals import refusal_in
from backend.providers.vendors import alternative_me, coinmarketcap
from tests.clocks import EPOCH, EPOCH_MS
from tests.providers.vendors.fear_greed import COINMARKETCAP as INDEX
from tests.providers.vendors.fear_greed import TODAY, TODAY_MS
from tests.world import lists

ATTRIBUTION = (
    "CMC Crypto Fear and Greed Index by CoinMarketCap "
    "(https://coinmarketcap.com/charts/fear-and-greed-index/)"
)


def test_the_index_has_its_own_name_and_attribution() -> None:
    yesterday = INDEX.row(1, value=7, value_classification="Extreme fear")
    days = (
        FearGreed(41, "Neutral", datetime(2026, 11, 22, tzinfo=UTC), "coinmarketcap", ATTRIBUTION),
        FearGreed(
            7, "Extreme fear", datetime(2026, 11, 21, tzinfo=UTC), "coinmarketcap", ATTRIBUTION
        ),
    )
    assert INDEX.series(INDEX.row(), yesterday) == FearGreedSeries(days, next_update_s=None)
    assert coinmarketcap.ATTRIBUTION != alternative_me.ATTRIBUTION


@pytest.mark.parametrize(
    "stamp",
    [
        f"{TODAY_MS // 1000}",
        TODAY_MS // 1000,
        "2026-11-22T00:00:00.000Z",
        "2026-11-22T00:00:00Z",
        "2026-11-22T02:00:00+02:00",
    ],
)
def test_the_time_of_a_day_is_epoch_seconds_or_iso(stamp: Any) -> None:
    (day,) = INDEX.series(INDEX.row(timestamp=stamp)).days
    assert (day.timestamp, day.timestamp.utcoffset()) == (TODAY, timedelta(0))


@pytest.mark.parametrize(
    ("given", "value"), [(0, 0), (41, 41), (100, 100), ("0", 0), ("41", 41), ("100", 100)]
)
def test_a_value_is_a_number_or_a_text(given: Any, value: int) -> None:
    assert INDEX.series(INDEX.row(value=given)).days[0].value == value


@pytest.mark.parametrize("code", ["0", 0])
def test_the_error_code_of_a_success_is_zero_as_a_number_or_a_text(code: Any) -> None:
    assert coinmarketcap.error_code(INDEX.envelope(INDEX.row(), code=code)) is None
    assert len(INDEX.parse(INDEX.envelope(INDEX.row(), code=code)).days) == 1


@pytest.mark.parametrize("code", [1011, "1011", 500, "x", None, "", True, 0.5])
def test_an_error_code_with_data_is_malformed(code: Any) -> None:
    with pytest.raises(ValueError, match="error instead"):
        INDEX.parse(INDEX.envelope(INDEX.row(), code=code))


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (INDEX.envelope(code=1011), 1011),
        (INDEX.envelope(code="1005"), 1005),
        (INDEX.envelope(code=None), None),
        (INDEX.envelope(code="x"), None),
        (INDEX.envelope(code=-1), None),
        (INDEX.envelope(code=True), None),
        ({"status": []}, None),
        ({"status": "0"}, None),
        ([], None),
        ("", None),
        (None, None),
    ],
    ids=str,
)
def test_the_error_code_is_a_number_or_a_text(payload: Any, code: int | None) -> None:
    assert coinmarketcap.error_code(payload) == code


def test_a_year_is_one_call() -> None:
    call = Call(
        "/public-api/v3/fear-and-greed/historical",
        (("limit", "365"), ("start", "1")),
        max_bytes=512 * 1024,
    )
    assert coinmarketcap.build_fear_greed(SentimentQuery(), INDEX.context()) == (call,)


def test_without_a_key_one_window_holds_for_all_operations_and_ten_lists_an_hour() -> None:
    hosts = ("https://pro-api.coinmarketcap.com",)
    windows = (Window(1, 60), Window(30, 3_600, unit="weight"))
    assert Plan("keyless", hosts, windows) == coinmarketcap.KEYLESS
    assert listings_call().weight == 3
    assert global_call().weight == INDEX.call.weight == 1


def test_a_key_has_its_own_path_header_and_limits() -> None:
    plan, windows = coinmarketcap.BASIC, coinmarketcap.BASIC.windows
    assert plan.base_urls == coinmarketcap.KEYLESS.base_urls
    assert plan.auth == Auth("header", "X-CMC_PRO_API_KEY")
    assert [(one.limit, one.unit, one.kind) for one in windows] == [
        (30, "request", "sliding"),
        (15_000, "weight", "month"),
    ]
    keyed = CONTEXT_WITH_KEY
    assert listings_call(keyed).path == "/v3/cryptocurrency/listings/latest"
    assert global_call(keyed).path == "/v1/global-metrics/quotes/latest"


def test_the_list_is_one_call_for_500_coins_in_dollars() -> None:
    call = listings_call()
    assert call.path == "/public-api/v3/cryptocurrency/listings/latest"
    assert call.params == (("start", "1"), ("limit", "500"), ("convert", "USD"))
    assert call.max_bytes == 6 * 1024 * 1024


CONTEXT = Context("coinmarketcap", "keyless", EPOCH_MS)
CONTEXT_WITH_KEY = Context("coinmarketcap", "basic", EPOCH_MS)


def listings_call(context: Context = CONTEXT) -> Call:
    (call,) = coinmarketcap.build_listings(QuotesQuery(), context)
    return call


def global_call(context: Context = CONTEXT) -> Call:
    (call,) = coinmarketcap.build_global(GlobalQuery(), context)
    return call


def payload(*changes: dict[str, Any], code: Any = "0") -> dict[str, Any]:
    """Ten rows of the world's list, the first ones with changes; `quote.<name>` is in the quote."""
    found = lists.cmc_listings(EPOCH_MS, limit=10)
    found["status"]["error_code"] = code
    for row, changed in zip(found["data"], changes, strict=False):
        for name, value in changed.items():
            where, field = (row, name)
            if name.startswith("quote."):
                where, field = row["quote"][0], name.removeprefix("quote.")
            where[field] = value
            if value is ...:
                del where[field]
    return found


def listed(*changes: dict[str, Any], code: Any = "0") -> ForeignRanking:
    return coinmarketcap.parse_listings(QuotesQuery(), [payload(*changes, code=code)], CONTEXT)


def first(**changes: Any) -> ListedCoin:
    return listed({name.replace("__", "."): value for name, value in changes.items()}).listed[0]


def test_a_row_becomes_a_coin_without_id_image_high_and_low() -> None:
    row = first(
        name="Bitcoin",
        quote__price=90_000.0,
        quote__percent_change_24h=-10.0,
        quote__percent_change_1h=0.25,
        quote__percent_change_7d=3.5,
        quote__market_cap=1.8e12,
        quote__volume_24h=4.0e10,
        circulating_supply=20_000_000,
    )
    assert row == ListedCoin(
        Coin(
            id=None,
            symbol="BTC",
            name="Bitcoin",
            image=None,
            market_cap_rank=1,
            price=90_000.0,
            market_cap=1.8e12,
            volume_24h=4.0e10,
            high_24h=None,
            low_24h=None,
            price_change_24h=-10_000.0,
            price_change_percentage_24h=-10.0,
            circulating_supply=20_000_000.0,
            last_updated=EPOCH - timedelta(seconds=60),
            source="coinmarketcap",
            price_change_percentage_1h=0.25,
            price_change_percentage_7d=3.5,
        ),
        "bitcoin",
    )


def test_a_token_brings_the_address_of_its_contract() -> None:
    platform = {"id": 1027, "slug": "ethereum", "token_address": "0xABCDef12"}
    assert first(platform=platform).contracts == ("0xABCDef12",)
    assert first(platform=None).contracts == ()


@pytest.mark.parametrize("platform", ["ethereum", {"slug": "x"}, {"token_address": ""}, [1]])
def test_a_malformed_platform_costs_its_row(platform: Any) -> None:
    found = listed({"platform": platform})
    assert found.refused == ("bitcoin",)
    assert len(found.listed) == 9


def test_the_quote_is_the_one_in_dollars_of_the_list() -> None:
    euros = {"id": 2790, "symbol": "EUR", "price": 3.0, "last_updated": None}
    dollars = payload()["data"][0]["quote"][0]
    assert first(quote=[euros, dollars]).coin.price == 50_000.0
    assert listed({"quote": [euros]}).refused == ("bitcoin",)
    assert listed({"quote": []}).refused == ("bitcoin",)
    assert listed({"quote": [dollars, dollars]}).refused == ("bitcoin",)


def test_the_quote_of_version_1_is_a_dict() -> None:
    dollars = payload()["data"][0]["quote"][0]
    assert first(quote={"USD": dollars}).coin.price == 50_000.0


@pytest.mark.parametrize("value", ["not_available", None, 10**17, 1e300, ...])
def test_the_market_cap_of_minted_coins_is_not_read(value: Any) -> None:
    assert first(quote__minted_market_cap=value).coin.price == 50_000.0


def test_a_supply_or_market_cap_of_zero_is_unknown() -> None:
    coin = first(circulating_supply=0, quote__market_cap=0).coin
    assert coin.circulating_supply is coin.market_cap is None


@pytest.mark.parametrize("percentage", [None, -100.0, -250.0])
def test_without_a_usable_percentage_there_is_no_amount(percentage: Any) -> None:
    assert first(quote__percent_change_24h=percentage).coin.price_change_24h is None


def test_the_list_is_in_the_order_of_ranks_and_a_row_without_a_rank_comes_last() -> None:
    found = listed({"cmc_rank": 9_999}, {"cmc_rank": None}).listed
    assert [row.coin.market_cap_rank for row in found] == [*range(3, 11), 9_999, None]


def test_of_two_rows_of_one_coin_the_first_counts() -> None:
    found = listed({}, {"slug": "bitcoin"})
    assert [row.coin.symbol for row in found.listed if row.slug == "bitcoin"] == ["BTC"]
    assert len(found.listed) == 9


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": None},
        {"symbol": ""},
        {"slug": None},
        {"slug": "x" * 201},
        {"slug": "bit\ncoin"},
        {"cmc_rank": 0},
        {"cmc_rank": "1"},
        {"quote.price": 0},
        {"quote.price": -1.0},
        {"quote.price": "50000"},
        {"quote.price": float("nan")},
        {"quote.price": True},
        {"quote.price": ...},
        {"quote.market_cap": 5.0},  # not price times supply
        {"quote.last_updated": "2026-11-22T07:00:00"},
        {"quote.last_updated": "2027-11-22T07:00:00Z"},
    ],
    ids=str,
)
def test_a_malformed_row_costs_only_itself(change: dict[str, Any]) -> None:
    found = listed(change)
    assert len(found.refused) == 1
    assert [row.coin.symbol for row in found.listed] == [
        row["symbol"] for row in payload()["data"][1:]
    ]


def test_a_list_of_yesterday_or_with_a_malformed_majority_is_refused() -> None:
    yesterday = Context("coinmarketcap", "keyless", EPOCH_MS + DAY)
    with pytest.raises(ValueError, match="not current"):
        coinmarketcap.parse_listings(QuotesQuery(), [payload()], yesterday)
    with pytest.raises(ValueError, match="malformed"):
        listed(*[{"symbol": None}] * 6)
    many = payload()
    many["data"] *= 101
    with pytest.raises(ValueError, match="at most"):
        coinmarketcap.parse_listings(QuotesQuery(), [many], CONTEXT)


@pytest.mark.parametrize("code", [1011, "1011", 500, "x", None])
def test_an_error_code_under_status_200_is_never_a_list(code: Any) -> None:
    with pytest.raises(ValueError, match="error instead"):
        listed(code=code)
    with pytest.raises(ValueError, match="error instead"):
        whole_market(code=code)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, 1001, AuthFailed),
        (401, 1002, AuthFailed),
        (402, 1003, AuthFailed),
        (402, "1004", AuthFailed),
        (403, 1005, PlanRestricted),
        (403, 1006, PlanRestricted),
        (403, 1007, AuthFailed),
        (429, 1008, RateLimited),
        (429, 1009, QuotaSpent),
        (429, 1010, QuotaSpent),
        (429, 1011, RateLimited),
        (200, 1011, RateLimited),
    ],
)
def test_each_documented_error(status: int, code: Any, kind: type[ProviderError]) -> None:
    body = {"status": {"error_code": code, "error_message": "-"}}
    error = refusal_in(coinmarketcap.ADAPTER, status, {}, body, b"", EPOCH)
    assert type(error) is kind


def whole_market(code: Any = 0, **changes: Any) -> GlobalMarket:
    found = lists.cmc_global(EPOCH_MS)
    found["status"]["error_code"] = code
    for name, value in changes.items():
        where = found["data"]["quote"]["USD"] if name in found["data"]["quote"]["USD"] else None
        (where or found["data"])[name] = value
    return coinmarketcap.parse_global(GlobalQuery(), [found], CONTEXT)


def test_the_figures_of_the_whole_market() -> None:
    assert whole_market() == GlobalMarket(
        market_cap=2.5e12,
        volume_24h=9.0e10,
        market_cap_change_percentage_24h=1.25,
        btc_dominance=55.5,
        eth_dominance=12.25,
        active_coins=9_876,
        last_updated=EPOCH - timedelta(seconds=60),
    )


@pytest.mark.parametrize(
    "change",
    [
        {"total_market_cap": 0},
        {"total_market_cap": -1.0},
        {"total_market_cap": 2.5e15},
        {"total_market_cap": "2.5e12"},
        {"total_volume_24h": -1.0},
        {"btc_dominance": 101.0},
        {"btc_dominance": None, "eth_dominance": -1.0},
        {"active_cryptocurrencies": 0},
        {"last_updated": "2026-11-21T07:00:00Z"},
        {"total_market_cap_yesterday_percentage_change": 1_250.0},
    ],
    ids=str,
)
def test_implausible_figures_of_the_market_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        whole_market(**change)
