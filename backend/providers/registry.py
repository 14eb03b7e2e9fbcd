"""Which providers there are. A new one is a vendor file and a line here."""

from backend.providers.adapter import ProviderSpec
from backend.providers.vendors import (
    alternative_me,
    binance,
    binance_stream,
    coingecko,
    coinmarketcap,
    cryptopanic,
    ethereum_rpc,
    etherscan,
    newsapi,
    rss,
)

REGISTRY: tuple[ProviderSpec, ...] = (
    ProviderSpec("coingecko_pro", coingecko.ADAPTER, keyed=coingecko.PRO),
    ProviderSpec(
        "coingecko_free", coingecko.ADAPTER, keyed=coingecko.DEMO, keyless=coingecko.KEYLESS
    ),
    ProviderSpec("binance", binance.ADAPTER, keyless=binance.PUBLIC, push=binance_stream.PUSH_FEED),
    ProviderSpec(
        "cryptopanic",
        cryptopanic.ADAPTER,
        keyed=cryptopanic.GROWTH,
        other_plans=(cryptopanic.GROWTH_WEEKLY, cryptopanic.ENTERPRISE),
    ),
    ProviderSpec("newsapi", newsapi.ADAPTER, keyed=newsapi.DEVELOPER),
    ProviderSpec("rss_coindesk", rss.ADAPTER, keyless=rss.COINDESK),
    ProviderSpec("rss_cointelegraph", rss.ADAPTER, keyless=rss.COINTELEGRAPH),
    ProviderSpec("rss_theblock", rss.ADAPTER, keyless=rss.THEBLOCK),
    ProviderSpec("rss_decrypt", rss.ADAPTER, keyless=rss.DECRYPT),
    ProviderSpec("alternative_me", alternative_me.ADAPTER, keyless=alternative_me.PUBLIC),
    ProviderSpec("coinmarketcap", coinmarketcap.ADAPTER, keyless=coinmarketcap.KEYLESS),
    ProviderSpec("etherscan", etherscan.ADAPTER, keyed=etherscan.FREE, ledger="etherscan"),
    ProviderSpec(
        "etherscan_backup", etherscan.ADAPTER, keyed=etherscan.FREE, tier=1, ledger="etherscan"
    ),
    ProviderSpec("ethereum_rpc", ethereum_rpc.ADAPTER, keyless=ethereum_rpc.PUBLIC, tier=2),
)
