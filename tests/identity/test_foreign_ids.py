"""CoinGecko's ids for rows of other vendors: each rule, and what must not lead to an id."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from backend.identity.foreign_ids import (
    SURE_IDS,
    ForeignIds,
    ForeignName,
    KnownName,
    contract_key,
)
from backend.models.coins import CoinList
from backend.models.market import agree

EVM = "0xAbCdEf0000000000000000000000000000000001"
OTHER_EVM = "0x0000000000000000000000000000000000000002"
SOLANA = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
CONTRACTS = {contract_key(EVM): "alpha", contract_key(OTHER_EVM): "beta", SOLANA: "gamma"}


def known(id: str, symbol: str, **given: Any) -> KnownName:  # noqa: A002 - the row's word
    row: dict[str, Any] = {"name": id.replace("-", " ").title(), "price": 10.0, "rank": 50}
    return KnownName(id, symbol, **(row | given))


def row(symbol: str, slug: str, **given: Any) -> ForeignName:
    fields: dict[str, Any] = {"name": "Some Name", "contracts": (), "price": 10.0, "rank": 50}
    return ForeignName(symbol, slug, **(fields | given))


def ids(*coins: KnownName, contracts: Mapping[str, str] = CONTRACTS) -> ForeignIds:
    return ForeignIds(coins, contracts, agree)


ALPHA, BETA = known("alpha", "ALP"), known("beta", "BET")


# 1. By contract


@pytest.mark.parametrize(
    "address", [EVM, EVM.lower(), EVM.upper().replace("0X", "0x"), "0X" + EVM[2:]]
)
def test_a_contract_leads_to_its_coin_in_any_case_of_its_digits(address: str) -> None:
    assert ids().id_of(row("ANY", "any", contracts=(address,))) == "alpha"


def test_addresses_that_are_not_hexadecimal_keep_their_case() -> None:
    assert ids().id_of(row("ANY", "any", contracts=(SOLANA,))) == "gamma"
    assert ids().id_of(row("ANY", "any", contracts=(SOLANA.lower(),))) is None


def test_several_contracts_of_one_coin_lead_to_it() -> None:
    contracts = CONTRACTS | {"second": "alpha"}
    found = ids(contracts=contracts).id_of(row("ANY", "any", contracts=(EVM, "second", "unknown")))
    assert found == "alpha"


def test_contracts_of_two_coins_prove_nothing() -> None:
    assert ids(ALPHA, BETA).id_of(row("XXX", "xxx", contracts=(EVM, OTHER_EVM))) is None


def test_after_contracts_of_two_coins_the_other_rules_are_tried() -> None:
    assert ids(ALPHA).id_of(row("ALP", "alpha", contracts=(EVM, OTHER_EVM))) == "alpha"


def test_a_contract_is_stronger_than_the_names() -> None:
    """A vendor's slug may be that of another coin."""
    found = ids(ALPHA, BETA).id_of(row("BET", "beta", contracts=(EVM,), name="Beta"))
    assert found == "alpha"


@pytest.mark.parametrize(
    ("price", "found"), [(4.9, None), (5.1, "alpha"), (19.9, "alpha"), (20.1, None)]
)
def test_a_contract_whose_price_is_another_coins_proves_nothing(
    price: float, found: str | None
) -> None:
    assert ids(ALPHA).id_of(row("ALP", "alpha", contracts=(EVM,), price=price)) == found


@pytest.mark.parametrize("price", [None, 7e9])
def test_a_contract_is_enough_while_a_price_is_unknown(price: float | None) -> None:
    unpriced = known("alpha", "ALP", price=None)
    assert ids(unpriced).id_of(row("ALP", "x", contracts=(EVM,), price=price)) == "alpha"
    assert ids(ALPHA).id_of(row("ALP", "x", contracts=(EVM,), price=None)) == "alpha"


def test_an_address_that_two_coins_claim_is_no_evidence() -> None:
    listed = CoinList.of(
        [
            ("alpha", "ALP", "Alpha", (EVM,)),
            ("copy", "CPY", "Copy", (EVM.lower(), SOLANA)),
            ("third", "THD", "Third", (EVM,)),
        ]
    )
    assert dict(listed.contracts) == {SOLANA: "copy"}
    found = ids(contracts=listed.contracts).id_of(row("ALP", "alpha", contracts=(EVM,)))
    assert found is None


def test_one_coins_address_on_several_chains_is_evidence() -> None:
    listed = CoinList.of([("alpha", "ALP", "Alpha", (EVM, EVM.lower()))])
    assert dict(listed.contracts) == {contract_key(EVM): "alpha"}


def test_an_id_that_is_listed_twice_keeps_its_first_names() -> None:
    listed = CoinList.of([("a", "AAA", "First", ()), ("a", "BBB", "Second", ())])
    assert dict(listed.names) == {"a": ("AAA", "First")}


# 2. By name in addresses, ticker and price


def test_slug_ticker_and_price_lead_to_the_coin() -> None:
    assert ids(ALPHA).id_of(row("ALP", "alpha")) == "alpha"


@pytest.mark.parametrize(
    "given",
    [
        {"symbol": "OTH"},
        {"slug": "other"},
        {"price": 4.9},
        {"price": 20.1},
        {"price": None},
        {"price": 0.0},
    ],
)
def test_with_one_of_the_three_different_the_coin_is_not_found(given: dict[str, Any]) -> None:
    symbol, slug = given.pop("symbol", "ALP"), given.pop("slug", "alpha")
    assert ids(ALPHA).id_of(row(symbol, slug, **given)) is None


def test_a_coin_without_a_known_price_is_not_found_by_its_slug() -> None:
    assert ids(known("alpha", "ALP", price=None)).id_of(row("ALP", "alpha")) is None


# 3. By the table of sure ids


@pytest.mark.parametrize(
    ("symbol", "slug", "found"),
    [
        ("BTC", "bitcoin", "bitcoin"),
        ("BNB", "bnb", "binancecoin"),
        ("BNB", "binance-coin", "binancecoin"),
        ("XRP", "xrp", "ripple"),
        ("AVAX", "avalanche", "avalanche-2"),
        ("TON", "toncoin", "the-open-network"),
        ("USDC", "usdc", "usd-coin"),
        ("USDC", "usd-coin", "usd-coin"),
        ("DOT", "polkadot-new", "polkadot"),
        ("LUNC", "terra-luna", "terra-luna"),
        ("LUNA", "terra-luna-v2", "terra-luna-2"),
    ],
)
def test_sure_names_need_no_known_price(symbol: str, slug: str, found: str) -> None:
    assert ids().id_of(row(symbol, slug, price=123.0)) == found


@pytest.mark.parametrize(
    ("symbol", "slug"),
    [("BTC", "bitcoin-fake"), ("btc", "bitcoin"), ("FAKE", "bitcoin"), ("LUNA", "terra-luna")],
)
def test_sure_names_need_both_ticker_and_slug(symbol: str, slug: str) -> None:
    assert ids().id_of(row(symbol, slug)) is None


def test_a_sure_name_at_a_contradicting_price_is_not_believed() -> None:
    bitcoin = known("bitcoin", "BTC", price=50_000.0)
    assert ids(bitcoin).id_of(row("BTC", "bitcoin", price=0.002)) is None
    assert ids(bitcoin).id_of(row("BTC", "bitcoin", price=60_000.0)) == "bitcoin"


def test_the_table_names_each_pair_once_and_each_id_by_one_ticker() -> None:
    tickers: dict[str, set[str]] = {}
    for (symbol, slug), coin_id in SURE_IDS.items():
        assert symbol.isupper()
        assert slug == slug.lower() == slug.strip()
        tickers.setdefault(coin_id, set()).add(symbol)
    assert {len(one) for one in tickers.values()} == {1}


# 4. By ticker, name, price and rank


def named(**given: Any) -> ForeignName:
    return row("ALP", "vendors-own-slug", **({"name": "Alpha"} | given))


@pytest.mark.parametrize("name", ["Alpha", "ALPHA", "alpha"])
def test_ticker_name_price_and_rank_lead_to_the_coin(name: str) -> None:
    assert ids(ALPHA).id_of(named(name=name)) == "alpha"


@pytest.mark.parametrize(
    ("rank", "found"), [(4, None), (5, "alpha"), (500, "alpha"), (501, None), (None, None)]
)
def test_the_rank_must_be_of_the_same_size(rank: int | None, found: str | None) -> None:
    assert ids(ALPHA).id_of(named(rank=rank)) == found


@pytest.mark.parametrize(
    "given", [{"price": 20.1}, {"price": None}, {"name": "Alpha Two"}, {"name": None}, {"name": ""}]
)
def test_with_another_price_or_name_the_coin_is_not_found(given: dict[str, Any]) -> None:
    assert ids(ALPHA).id_of(named(**given)) is None


def test_a_known_coin_without_a_rank_or_a_name_is_not_found_by_name() -> None:
    assert ids(known("alpha", "ALP", rank=None)).id_of(named()) is None
    assert ids(known("alpha", "ALP", name=None)).id_of(named(name=None)) is None


def test_of_two_coins_with_one_ticker_and_name_only_the_fitting_one_is_found() -> None:
    cheap = known("alpha-cheap", "ALP", name="Alpha", price=0.01)
    for coins in ((ALPHA, cheap), (cheap, ALPHA)):
        assert ids(*coins).id_of(named()) == "alpha"
        assert ids(*coins).id_of(named(price=0.01)) == "alpha-cheap"


def test_of_two_coins_that_both_fit_none_is_found() -> None:
    twin = known("alpha-twin", "ALP", name="Alpha", price=11.0)
    for coins in ((ALPHA, twin), (twin, ALPHA)):
        assert ids(*coins).id_of(named()) is None


# Never by the ticker alone


@pytest.mark.parametrize("price", [10.0, None])
def test_the_ticker_alone_leads_nowhere(price: float | None) -> None:
    everything: Iterable[KnownName] = (ALPHA, BETA)
    assert ids(*everything).id_of(row("ALP", "zzz", price=price)) is None
    assert ids(*everything).id_of(row("ALP", "zzz", price=price, name=None, rank=None)) is None
