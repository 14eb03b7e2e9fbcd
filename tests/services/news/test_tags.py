"""Which coins an article is about."""

from typing import Any

import pytest

from backend.models.market import Coin, Market
from backend.services.news.tags import CoinTagger


def coin(symbol: str, name: str, rank: int) -> Coin:
    unknown: dict[str, Any] = dict.fromkeys(
        ("image", "price", "market_cap", "volume_24h", "high_24h", "low_24h", "last_updated")
    )
    unknown |= dict.fromkeys(("price_change_24h", "price_change_percentage_24h"))
    return Coin(
        id=name.lower().replace(" ", "-"),
        symbol=symbol,
        name=name,
        market_cap_rank=rank,
        circulating_supply=None,
        source="coingecko_free",
        **unknown,
    )


MARKET = Market(
    (
        coin("BTC", "Bitcoin", 1),
        coin("ETH", "Ethereum", 2),
        coin("BCH", "Bitcoin Cash", 3),
        coin("NEAR", "Near", 4),
        coin("ONE", "Harmony", 5),
        coin("A", "Vaulta", 6),
        coin("BTC", "Bitcoin Clone", 7),
        coin("C++", "Odd (name)", 8),
        coin("XLM", "Stellar", 9),
        coin("AVAX", "Avalanche", 10),
    ),
    True,
)


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("Bitcoin rises while Ethereum falls", ("BTC", "ETH")),
        ("BTC and ETH both rise", ("BTC", "ETH")),
        ("Bitcoin Cash forks", ("BCH",)),
        ("Bitcoin's price, again: Bitcoin", ("BTC",)),
        ("bitcoins and Bitcoiners", ("BTC",)),
        ("Ether slips, bitcoin follows", ("ETH", "BTC")),
        ("Bitcoin Cash, not bitcoin", ("BCH", "BTC")),
        ("NEAR jumps 5%", ("NEAR",)),
        ("Near Protocol upgrades", ("NEAR",)),
        ("NEAR THE TOP, says one", ()),
        ("Stellar results for banks", ()),
        ("Stellar Foundation grows", ("XLM",)),
        ("Avalanche of liquidations", ()),
        ("SEC and CEO of the ETF", ()),
        ("A new record is near, says one analyst", ()),
        ("ONE TO WATCH: a chain", ()),
        ("$ONE and $A jump", ("ONE", "A")),
        ("Near the top", ()),
        ("$NEAR jumps", ("NEAR",)),
        ("Harmony restored", ()),
        ("Harmony Protocol restored", ("ONE",)),
        ("ETH HITS RECORD AS BTC STALLS", ()),
        ("Odd (name) listed", ("C++",)),
        ("", ()),
    ],
)
def test_names_and_tickers_are_found_but_not_ordinary_words(
    text: str, symbols: tuple[str, ...]
) -> None:
    assert CoinTagger(MARKET).tags(text, "", ()) == symbols


def test_the_providers_own_tags_come_before_guessing() -> None:
    assert CoinTagger(MARKET).tags("Bitcoin rises", "", ("eth", "ETH", "xyz")) == ("ETH", "XYZ")


def test_without_a_market_nothing_is_guessed() -> None:
    assert CoinTagger(None).tags("Bitcoin and $BTC", "", ()) == ()
