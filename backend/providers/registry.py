"""All providers, and the tiers in which those of a category are called."""

from collections.abc import Mapping
from dataclasses import replace

from backend.providers.adapter import ProviderSpec
from backend.providers.vendors import (
    alternative_me,
    binance,
    binance_stream,
    bitcoin_fees,
    bitstamp,
    coinbase,
    coinbase_rates,
    coingecko,
    coinmarketcap,
    coinpaprika,
    cryptopanic,
    etherscan,
    evm_rpc,
    frankfurter,
    kraken,
    kraken_stream,
    newsapi,
    okx,
    rss,
)

#: The tiers of each kind of query (`Query.kind`), best first; providers of one tier take turns.
#: `provider.operation` gives a single operation another tier than the provider.
TIERS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    # The ranks and ids of other vendors differ from CoinGecko's, so that these come last.
    "market": (
        ("coingecko_pro", "coingecko_free", "binance", "coinbase", "okx", "bitstamp"),
        ("coinmarketcap",),
        ("coinpaprika",),
    ),
    # Only ranked lists have names, ranks and supplies, so that a venue is the last choice.
    "market_without_universe": (
        ("coingecko_pro", "coingecko_free"),
        ("coinmarketcap",),
        ("coinpaprika",),
        ("binance", "coinbase", "okx", "bitstamp"),
    ),
    "ohlc": (
        ("binance",),
        ("coinbase", "okx"),
        ("bitstamp", "kraken"),
        ("coingecko_pro.ohlc_native", "coingecko_pro.ohlc_range"),
        ("coingecko_pro", "coingecko_free"),  # merged from shorter candles
    ),
    # Only CoinGecko knows its own ids.
    "coins": (("coingecko_pro", "coingecko_free"),),
    "coin_list": (("coingecko_pro", "coingecko_free"),),
    "sparklines": (("coingecko_pro", "coingecko_free"),),
    # All of them are called together.
    "news": (("cryptopanic", "newsapi", *rss.FEEDS),),
    # Clients notice a change of the index, so that it changes only on a failure.
    "sentiment": (("alternative_me",), ("coinmarketcap",)),
    # Each chain has providers of its own; Etherscan has two of the chains.
    "gas": (
        ("etherscan",),
        ("etherscan_backup",),
        (*(f"{chain}_rpc" for chain in evm_rpc.NODES), "mempool_space"),
        ("esplora",),
    ),
    # Vendors count differently, so that another one is asked only on a failure.
    "global": (("coingecko_pro", "coingecko_free"), ("coinmarketcap",), ("coinpaprika",)),
    # A vendor's own answers: each of these providers serves its own vendor only.
    "pass_through": (("coingecko_pro", "binance"), ("coingecko_free",)),
    # Live rates of all currencies come before those of the last working day.
    "rates": (("coinbase_rates",), ("frankfurter",)),
}

_PROVIDERS = (
    ProviderSpec("coingecko_pro", coingecko.ADAPTER, keyed=coingecko.PRO),
    ProviderSpec(
        "coingecko_free", coingecko.ADAPTER, keyed=coingecko.DEMO, keyless=coingecko.KEYLESS
    ),
    ProviderSpec("binance", binance.ADAPTER, keyless=binance.PUBLIC, push=binance_stream.PUSH_FEED),
    ProviderSpec("coinbase", coinbase.ADAPTER, keyless=coinbase.PUBLIC),
    ProviderSpec("okx", okx.ADAPTER, keyless=okx.PUBLIC),
    ProviderSpec("bitstamp", bitstamp.ADAPTER, keyless=bitstamp.PUBLIC),
    ProviderSpec("kraken", kraken.ADAPTER, keyless=kraken.PUBLIC, push=kraken_stream.PUSH_FEED),
    ProviderSpec(
        "cryptopanic",
        cryptopanic.ADAPTER,
        keyed=cryptopanic.GROWTH,
        other_plans=(cryptopanic.GROWTH_WEEKLY, cryptopanic.ENTERPRISE),
    ),
    ProviderSpec("newsapi", newsapi.ADAPTER, keyed=newsapi.DEVELOPER),
    *(rss.provider(name) for name in rss.FEEDS),
    ProviderSpec("alternative_me", alternative_me.ADAPTER, keyless=alternative_me.PUBLIC),
    ProviderSpec(
        "coinmarketcap",
        coinmarketcap.ADAPTER,
        keyed=coinmarketcap.BASIC,
        keyless=coinmarketcap.KEYLESS,
    ),
    ProviderSpec("coinpaprika", coinpaprika.ADAPTER, keyless=coinpaprika.KEYLESS),
    ProviderSpec("etherscan", etherscan.ADAPTER, keyed=etherscan.FREE, ledger="etherscan"),
    ProviderSpec("etherscan_backup", etherscan.ADAPTER, keyed=etherscan.FREE, ledger="etherscan"),
    *(evm_rpc.provider(chain) for chain in evm_rpc.NODES),
    ProviderSpec("mempool_space", bitcoin_fees.MEMPOOL_ADAPTER, keyless=bitcoin_fees.MIRRORS),
    ProviderSpec("esplora", bitcoin_fees.ESPLORA_ADAPTER, keyless=bitcoin_fees.ESPLORA),
    ProviderSpec("coinbase_rates", coinbase_rates.ADAPTER, keyless=coinbase_rates.PUBLIC),
    ProviderSpec("frankfurter", frankfurter.ADAPTER, keyless=frankfurter.PUBLIC),
)


def tiers_of(provider: str) -> dict[str, int]:
    """The provider's tier for each kind of query, or for each `kind.operation`."""
    return {
        f"{kind}{dot}{operation}": tier
        for kind, groups in TIERS.items()
        for tier, members in enumerate(groups)
        for name, dot, operation in (member.partition(".") for member in members)
        if name == provider
    }


REGISTRY: tuple[ProviderSpec, ...] = tuple(
    replace(spec, tiers=tiers_of(spec.name)) for spec in _PROVIDERS
)
