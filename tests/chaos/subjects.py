"""Who is put to the test: each provider, by the route of its category, and who stands beside it."""

import os
from dataclasses import dataclass, field

from pydantic import SecretStr

from backend.environment.forms import CallLimit
from backend.providers.registry import REGISTRY
from backend.settings import Configuration, ProviderSettings, Settings
from tests.world.feeds import EVM_CHAINS, PUBLISHERS
from tests.world.server import World

#: Short, so that each step of a clock makes a refresh due; seconds.
TTL_S = 10.0
PROVIDER_TIMEOUT_S, DEADLINE_S = 1.0, 3.0
#: Settings are built here, nothing comes from the surroundings.
NOWHERE = "NOBODY_SETS_THIS_"
KEYS = {
    "coingecko_pro": "CG-worldprokey0000000000001",
    "coingecko_free": "CG-worlddemokey000000000002",
    "cryptopanic": "panickeyofthechaos0003",
    "newsapi": "newskeyofthechaos00004",
    "etherscan": "SCANKEYOFTHECHAOS00005",
    "etherscan_backup": "BACKUPKEYOFTHECHAOS006",
    "coinmarketcap": "cmckeyofthechaos0000007",
}
MARKET, OHLC = "/api/market?limit=250", "/api/market/ohlc?symbol=BTC&interval=1h&limit=1000"
WHOLE = "/api/global"
NEWS, SENTIMENT, GAS = "/api/news?limit=200", "/api/sentiment?days=30", "/api/gas"
CATEGORY_OF = {
    MARKET: "market",
    OHLC: "ohlc",
    NEWS: "news",
    SENTIMENT: "sentiment",
    GAS: "gas",
    WHOLE: "global",
}
#: A day for what is not put to the test: news and candles need the names of coins.
LONG_S = 86_400.0
NAMER = "coingecko_free"
#: Those whose candles need a price that another provider has: that one is never off.
PRICELESS = ("kraken",)


@dataclass(frozen=True)
class Subject:
    """A provider that comes first of those that are on, and its `rivals`, who may take its place.

    `spacing_s`: what its limits leave between two calls. `calls`: the most calls of one query.
    """

    name: str
    route: str
    rivals: tuple[str, ...] = ()
    spacing_s: float = 20.0
    is_keyed: bool = False
    calls: int = 1

    @property
    def category(self) -> str:
        return CATEGORY_OF[self.route.partition("?chain=")[0]]

    @property
    def label(self) -> str:
        return f"{self.name} ({self.category})"

    @property
    def can_be_alone(self) -> bool:
        return self.name not in PRICELESS

    def beside(self, *, alone: bool) -> tuple[str, ...]:
        """All that are on; the names of coins come from elsewhere where that is no rival."""
        needed = (NAMER,) if self.category == "news" or self.name in PRICELESS else ()
        return (self.name, *(() if alone else self.rivals), *needed)


VENUES = ("binance", "coinbase", "okx", "bitstamp")
FEEDS = tuple(PUBLISHERS)
#: Without months: each gateway would assume thousands of calls for the unknown time before it.
#: And without the hour of CoinMarketCap, whose lists would need six minutes between two calls.
NO_MONTHS = {
    "coingecko_pro": (CallLimit(300, 60.0),),
    "coingecko_free": (CallLimit(5, 60.0),),
    "coinmarketcap": (CallLimit(1, 60.0),),
    "coinpaprika": (CallLimit(1, 300.0),),
}
ALL_SUBJECTS = (
    Subject("coingecko_pro", MARKET, ("coingecko_free", "binance"), is_keyed=True),
    Subject("coingecko_free", MARKET, ("binance",)),
    *(Subject(name, MARKET, ("coingecko_free",)) for name in VENUES),
    Subject("coinmarketcap", MARKET, ("coinpaprika",), 61.0),
    Subject("coinpaprika", MARKET, spacing_s=301.0),
    Subject("coingecko_pro", OHLC, ("coingecko_free",), is_keyed=True),
    Subject("coingecko_free", OHLC),
    *(Subject(name, OHLC, ("coingecko_free",)) for name in ("binance", "bitstamp", "kraken")),
    *(Subject(name, OHLC, ("coingecko_free",), calls=4) for name in ("coinbase", "okx")),
    Subject("cryptopanic", NEWS, FEEDS[:1], 1000.0, is_keyed=True),
    Subject("newsapi", NEWS, FEEDS[1:2], 1000.0, is_keyed=True),
    *(Subject(name, NEWS, (FEEDS[place - 1],)) for place, name in enumerate(FEEDS)),
    Subject("alternative_me", SENTIMENT, ("coinmarketcap",)),
    Subject("coinmarketcap", SENTIMENT, spacing_s=61.0),
    Subject("etherscan", GAS, ("etherscan_backup", "ethereum_rpc"), is_keyed=True),
    Subject("etherscan_backup", GAS, ("ethereum_rpc",), is_keyed=True),
    *(Subject(f"{chain}_rpc", f"{GAS}?chain={chain}") for chain in EVM_CHAINS),
    Subject("mempool_space", f"{GAS}?chain=bitcoin", ("esplora",), spacing_s=61.0, calls=2),
    Subject("esplora", f"{GAS}?chain=bitcoin", spacing_s=61.0, calls=2),
    Subject("coingecko_pro", WHOLE, ("coinmarketcap",), is_keyed=True),
    Subject("coingecko_free", WHOLE, ("coinmarketcap",)),
    Subject("coinmarketcap", WHOLE, ("coinpaprika",), 61.0),
    Subject("coinpaprika", WHOLE, spacing_s=301.0),
)


#: Set: only one provider of each vendor file is put to the test.
QUICK = "CHAOS_QUICK"


def one_of_each_vendor() -> tuple[Subject, ...]:
    """The first subject of each vendor file: providers of one file have the same parsers."""
    operations = {spec.name: spec.adapter.operations for spec in REGISTRY}
    chosen: dict[str, Subject] = {}
    for subject in ALL_SUBJECTS:
        chosen.setdefault(operations[subject.name][-1].parse.__module__, subject)
    return tuple(chosen.values())


SUBJECTS = one_of_each_vendor() if os.environ.get(QUICK) else ALL_SUBJECTS


@dataclass(frozen=True)
class Changes:
    """What differs from the plain settings: the gateway's own, limits and keys by provider."""

    gateway: dict[str, object] = field(default_factory=dict)
    limits: dict[str, tuple[CallLimit, ...]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)


PLAIN = Changes()


#: Built once: each setting is looked for in the surroundings, in vain.
#: Five hundred readers a second have one address here.
PLAIN_SETTINGS = Settings(_env_prefix=NOWHERE, _env_file=None, client_rate_limit=())
PLAIN_PROVIDER = ProviderSettings(_env_prefix=NOWHERE, _env_file=None, stream_url="")


def configuration(
    world: World, subject: Subject, names: tuple[str, ...], changes: Changes = PLAIN
) -> Configuration:
    """All settings of a gateway that has only `names` of the world's providers."""
    ttls = {f"cache_ttl_{one}": TTL_S for one in ("market", "ohlc", "news", "sentiment", "gas")}
    if subject.category in ("news", "ohlc"):
        ttls["cache_ttl_market"] = LONG_S
    own = {
        "state_path": None,
        "provider_timeout": PROVIDER_TIMEOUT_S,
        "request_deadline": DEADLINE_S,
        **ttls,
        **changes.gateway,
    }
    providers = {spec.name: _provider(world, spec.name, names, changes) for spec in REGISTRY}
    return Configuration(PLAIN_SETTINGS.model_copy(update=own), providers)


def _provider(
    world: World, name: str, names: tuple[str, ...], changes: Changes
) -> ProviderSettings:
    is_on = name in names
    optional = ("coingecko_free", "coinmarketcap")
    keys = {key: text for key, text in KEYS.items() if key not in optional} | changes.keys
    limits = NO_MONTHS | changes.limits
    own = {
        "enabled": is_on,
        "api_key": SecretStr(keys[name]) if is_on and name in keys else None,
        "base_url": (world.url(name),) if is_on else (),
        "limits": limits.get(name, ()) if is_on else (),
    }
    return PLAIN_PROVIDER.model_copy(update=own)
