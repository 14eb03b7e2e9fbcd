"""Whatever providers are on, and whichever of them fail: no wrong price, no other coin's id."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from backend.clock import Clock
from backend.errors import AllProvidersFailed, GatewayError, NoProviderConfigured
from backend.gateway import Gateway, open_gateway
from backend.models.market import Coin, Market
from backend.providers.registry import REGISTRY
from backend.services.market.service import MarketView
from backend.settings import Configuration, ProviderSettings, Settings
from tests.clocks import LoopClock
from tests.simulation import truth
from tests.simulation.truth import LISTS, VENUES

ROUNDS, TTL_S = 8, 60.0
#: First seeds of twenty: those of the suite, and those of the fault table.
FIRST = range(0, 80, 20)
FURTHER = range(80, 200, 20)
#: Settings are built here; nothing comes from the environment.
NO_PREFIX = "NO_VARIABLE_HAS_THIS_PREFIX_"
#: The hosts of the providers of the market.
HOSTS = {name: f"{name.replace('_', '-')}.example" for name in (*LISTS, *VENUES)}
PATHS = {"coingecko_free": "/api/v3", "coinpaprika": ""}


def configuration(on: Sequence[str]) -> Configuration:
    plain = ProviderSettings(_env_prefix=NO_PREFIX, _env_file=None, stream_url="")
    settings = Settings(_env_prefix=NO_PREFIX, _env_file=None)
    own = {"state_path": None, "cache_ttl_market": TTL_S}
    providers = {
        spec.name: plain.model_copy(
            update={
                "enabled": spec.name in on,
                "base_url": (f"https://{HOSTS[spec.name]}{PATHS.get(spec.name, '')}",)
                if spec.name in on
                else (),
            }
        )
        for spec in REGISTRY
    }
    return Configuration(settings.model_copy(update=own), providers)


def check(market: Market, world: truth.Market, seed: int) -> None:
    """Every row is of a true coin, at a price that a provider told of it."""
    by_id = {coin.id: coin for coin in world.coins}
    ids = [coin.id for coin in market.coins if coin.id]
    assert len(ids) == len(set(ids)), (seed, "an id is given twice")
    for row in market.coins:
        if row.id is None:
            assert is_known_somewhere(row, world), (seed, row)
            continue
        coin = by_id[row.id]
        assert row.symbol == coin.symbol, (seed, row)
        assert row.price is not None, (seed, row)
        assert abs(row.price / coin.price - 1) <= 0.02, (seed, row, coin)
    check_ranks(market, world, seed)


def is_known_somewhere(row: Coin, world: truth.Market) -> bool:
    """A row without an id is one of a venue's pairs, or of another vendor's list."""
    prices = [pairs[row.symbol] for pairs in world.traded.values() if row.symbol in pairs]
    prices += [coin.price for coin in world.coins if coin.symbol == row.symbol]
    assert row.price is not None
    return any(abs(row.price / price - 1) <= 0.02 for price in prices)


def check_ranks(market: Market, world: truth.Market, seed: int) -> None:
    """All ranks are of one vendor."""
    ranks = {coin.market_cap_rank for coin in market.coins if coin.market_cap_rank is not None}
    vendors = [name for name in LISTS if ranks <= set(world.ranks(name).values())]
    assert vendors, (seed, "ranks of two vendors are mixed", sorted(ranks))


async def play(seed: int) -> None:
    rng = random.Random(seed)
    on = [name for name in (*LISTS, *VENUES) if rng.random() < 0.5]
    world = truth.Market(rng)
    transport = world.transport({host: name for name, host in HOSTS.items()})
    clock: Clock = LoopClock()
    async with open_gateway(
        configuration(on), clock=clock, transport=transport, emit=lambda _event: None,
        jitter=lambda: 1.0,
    ) as gateway:  # fmt: skip
        answered = 0
        for _ in range(ROUNDS):
            world.down = {name for name in on if rng.random() < 0.3}
            answered += await one_round(gateway, world, on, seed)
            if rng.random() < 0.3:
                await ask_beyond(gateway, on)
            await asyncio.sleep(TTL_S * rng.choice((0.5, 1.0, 1.5, 3.0)))
        world.down = set()
        await asyncio.sleep(900.0)  # beyond every cooldown and every limit
        answered += await one_round(gateway, world, on, seed)
        assert answered >= bool(on), (seed, on)


async def one_round(gateway: Gateway, world: truth.Market, on: Sequence[str], seed: int) -> int:
    try:
        answer = await gateway.market.latest()
    except NoProviderConfigured:
        assert not on, seed
        return 0
    except AllProvidersFailed as error:
        # Each of those that are on failed now, or is out because it failed before.
        reported = {refusal.provider for refusal in error.refusals}
        assert reported >= set(on), (seed, reported, on)
        return 0
    check(answer.data, world, seed)
    return 1


async def ask_beyond(gateway: Gateway, on: Sequence[str]) -> None:
    """Lets the gateway learn the contracts of tokens, if CoinGecko is on."""
    try:
        await gateway.names.to_search()
        await gateway.market.asked(MarketView(names=("token-1", "BTC")))
    except GatewayError:
        assert len(on) < len(HOSTS) or on


@pytest.mark.looptime
@pytest.mark.parametrize(
    "first", [*FIRST, *(pytest.param(one, marks=pytest.mark.chaos) for one in FURTHER)]
)
async def test_no_subset_of_providers_gives_a_wrong_price_or_another_coins_id(first: int) -> None:
    for seed in range(first, first + 20):
        await play(seed)


@pytest.mark.looptime
async def test_without_coingecko_and_binance_the_ranks_are_another_vendors() -> None:
    """From a cold start."""
    on = ("coinmarketcap", "coinpaprika", "coinbase", "okx", "bitstamp")
    world = truth.Market(random.Random(1))
    transport = world.transport({host: name for name, host in HOSTS.items()})
    async with open_gateway(
        configuration(on), clock=LoopClock(), transport=transport, emit=lambda _event: None
    ) as gateway:
        market = (await gateway.market.latest()).data
        named = {coin.id: coin for coin in market.coins if coin.id}
        assert {name for name, _, _ in truth.NAMED} <= set(named)
        assert named["bitcoin"].market_cap_rank == world.ranks("coinmarketcap")["bitcoin"]
        world.down = {"coinmarketcap"}
        for _ in range(6):
            await asyncio.sleep(TTL_S)
            check((await gateway.market.latest()).data, world, 1)
