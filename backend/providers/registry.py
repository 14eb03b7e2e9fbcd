"""Which providers there are. A new one is a vendor file and a line here."""

from backend.providers.adapter import ProviderSpec
from backend.providers.vendors import binance, coingecko

REGISTRY: tuple[ProviderSpec, ...] = (
    ProviderSpec("coingecko_pro", coingecko.ADAPTER, keyed=coingecko.PRO),
    ProviderSpec(
        "coingecko_free", coingecko.ADAPTER, keyed=coingecko.DEMO, keyless=coingecko.KEYLESS
    ),
    ProviderSpec("binance", binance.ADAPTER, keyless=binance.PUBLIC),
)
