"""run_server.py with so many providers as PROVIDERS says.

The first 14 serve all categories. Behind those of the registry come further feeds of news.
"""

import os
from dataclasses import replace
from itertools import count, islice

from backend.providers import registry
from backend.providers.adapter import ProviderSpec

FIRST = (
    "coingecko_pro",
    "coingecko_free",
    "binance",
    "coinbase",
    "cryptopanic",
    "newsapi",
    "rss_coindesk",
    "alternative_me",
    "coinmarketcap",
    "etherscan",
    "ethereum_rpc",
    "mempool_space",
    "coinbase_rates",
    "frankfurter",
)
FURTHER = "rss_further_{}"


def grown(size: int) -> tuple[ProviderSpec, ...]:
    """A registry of so many providers."""
    known = {spec.name: spec for spec in registry.REGISTRY}
    further = (replace(known["rss_coindesk"], name=FURTHER.format(number)) for number in count(1))
    specs = [known[name] for name in dict.fromkeys((*FIRST, *known))]
    specs += islice(further, max(0, size - len(specs)))
    return tuple(specs[:size])


if __name__ == "__main__":
    registry.REGISTRY = grown(int(os.environ["PROVIDERS"]))
    from api import process  # reads the registry when it is imported

    process.run()
