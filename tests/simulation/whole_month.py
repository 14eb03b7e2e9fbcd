"""A month of the whole gateway in virtual time: all providers of the market, real limits, readers.

Every provider counts the calls as the vendor does. A hot key is a query that readers repeat all
the time, so that it is refreshed as often as limits and budgets allow. Run as a program it prints
the table of docs/behaviour.md: `python -m tests.simulation.whole_month [days [name ...]]`.
"""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import httpx
import looptime
from pydantic import SecretStr

from backend.errors import GatewayError
from backend.gateway import Gateway, open_gateway
from backend.models.answer import Answer
from backend.models.ohlc import Interval
from backend.models.pass_through import PassThroughQuery
from backend.providers.registry import REGISTRY
from backend.services.candles.service import OhlcView
from backend.services.market.service import MarketView
from backend.settings import Configuration, ProviderSettings, Settings
from backend.storage.contract import SavedBlock, SavedState, Storage
from tests.clocks import LoopClock
from tests.simulation import truth
from tests.simulation.oracles import CalendarMonth, Limit, Sliding
from tests.world import data, lists

DAY_S, HOUR_S, QUARTER_S = 86_400.0, 3_600.0, 900.0
#: Settings are built here; nothing comes from the environment.
NO_PREFIX = "NO_VARIABLE_HAS_THIS_PREFIX_"
PATHS = {"coingecko_free": "/api/v3", "coinpaprika": ""}
KEY = "CG-demokey00000000000000001"
#: Coins that only CoinGecko has, beyond the ranked list.
FAR = tuple(f"far-{number}" for number in range(20))
#: Credits of CoinMarketCap's list, and Binance's weights.
LISTINGS = "/public-api/v3/cryptocurrency/listings/latest"
WEIGHTS = {("coinmarketcap", LISTINGS): 3, ("binance", "/api/v3/ticker/24hr"): 80}


@dataclass
class Weighted:
    """A sliding limit of weight."""

    limit: int
    period_s: float
    calls: list[tuple[float, int]] = field(default_factory=list)

    def allows(self, now_s: float, weight: int) -> bool:
        self.calls = [one for one in self.calls if now_s - one[0] < self.period_s]
        if sum(one[1] for one in self.calls) + weight > self.limit:
            return False
        self.calls.append((now_s, weight))
        return True


def keyless() -> dict[str, tuple[Limit | Weighted, ...]]:
    """What each provider allows without a key, as the facts sheets have it."""
    return {
        "coingecko_free": (Sliding(5, 60),),
        "coinmarketcap": (Sliding(1, 60), Weighted(30, 3_600)),
        "coinpaprika": (Sliding(10, 1), CalendarMonth(20_000)),
        "binance": (Weighted(6_000, 60),),
        "coinbase": (Sliding(10, 1),),
        "okx": (Sliding(20, 2),),
        "bitstamp": (Sliding(10_000, 600),),
        "kraken": (Sliding(1, 0.99), Sliding(60, 60)),
        "coinbase_rates": (Sliding(10_000, 3_600),),
        "frankfurter": (Sliding(60, 3_600),),
    }


def demo() -> dict[str, tuple[Limit | Weighted, ...]]:
    return keyless() | {"coingecko_free": (Sliding(30, 60), CalendarMonth(10_000))}


class Vendors(truth.Market):
    """The random market, with coins beyond the list, the whole market, rates and candles.

    `overruns` are the calls that were over a provider's limit.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.limits = keyless()
        self.overruns: list[tuple[str, float]] = []
        self.paths: Counter[tuple[str, str]] = Counter()
        self.far = {
            coin_id: truth.TrueCoin(coin_id, f"FAR{number}", coin_id, 2.0 + number, 900 + number)
            for number, coin_id in enumerate(FAR)
        }

    def transport(self, hosts: dict[str, str]) -> httpx.MockTransport:
        inner = super().transport(hosts)

        def handle(request: httpx.Request) -> Any:
            vendor, path = hosts[request.url.host], request.url.path
            self.paths[vendor, self._kind(path, request)] += 1
            now = LoopClock().now().timestamp()
            weight = WEIGHTS.get((vendor, path), 1)
            allowed = [
                limit.allows(now, weight) if isinstance(limit, Weighted) else limit.allows(now)
                for limit in self.limits[vendor]
            ]
            if not all(allowed):
                self.overruns.append((vendor, now))
                return httpx.Response(429, json={}, headers={"Retry-After": "60"})
            return inner.handler(request)

        return httpx.MockTransport(handle)

    @staticmethod
    def _kind(path: str, request: httpx.Request) -> str:
        params = request.url.params
        if "ids" in params or "symbols" in params:
            return "coins"
        if params.get("sparkline") == "true":
            return "sparklines"
        return "ohlc" if "/ohlc" in path else path.rpartition("/")[2] or path

    def answer(self, vendor: str, path: str, query: dict[str, str]) -> Any:
        now_ms = int(LoopClock().now().timestamp() * 1000)
        if path.endswith("/tickers"):
            return {"tickers": []}
        if path.endswith("/ohlc"):
            coin = self.far.get(path.split("/")[-2])
            return data.ohlc(coin.price, 4 * data.HOUR, 180, now_ms) if coin else None
        if vendor == "kraken":
            return {"error": ["EQuery:Unknown asset pair"]}
        further: dict[str, Callable[[], Any]] = {
            "/api/v3/global": partial(lists.coingecko_global, now_ms),
            "/public-api/v1/global-metrics/quotes/latest": partial(lists.cmc_global, now_ms),
            "/v1/global": partial(lists.paprika_global, now_ms),
            "/v2/exchange-rates": lists.coinbase_rates,
            "/v1/latest": partial(lists.frankfurter, now_ms),
        }
        if path in further:
            return further[path]()
        return super().answer(vendor, path, query)

    def _coingecko(self, now_ms: int, query: dict[str, str]) -> list[dict[str, Any]]:
        if "ids" in query or "symbols" in query:
            ids, symbols = query.get("ids", "").split(","), query.get("symbols", "").split(",")
            return [
                data.coin_row(one.rank, one.id, one.symbol.lower(), one.id, one.price, now)
                for now in (data.utc(now_ms - 5_000),)
                for one in self.far.values()
                if one.id in ids or one.symbol.lower() in symbols
            ]
        rows = super()._coingecko(now_ms, query)
        if query.get("sparkline") == "true":
            return [row | {"sparkline_in_7d": {"price": [1.0, 2.0]}} for row in rows]
        return rows

    def _names(self, now_ms: int) -> list[dict[str, Any]]:
        far = [{"id": one.id, "symbol": one.symbol, "name": one.id} for one in self.far.values()]
        return super()._names(now_ms) + far


class MemoryStorage(Storage):
    """The state file of several runs, in memory."""

    def __init__(self) -> None:
        self._calls: dict[str, dict[int, int]] = {}
        self._answers: dict[str, bytes] = {}
        self._blocks: dict[str, SavedBlock] = {}
        self._seen_at: float | None = None

    async def load(self) -> SavedState:
        calls = {window: dict(amounts) for window, amounts in self._calls.items()}
        return SavedState(calls, dict(self._answers), self._seen_at, dict(self._blocks))

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float | None) -> bool:
        for (window, tick), amount in amounts.items():
            held = self._calls.setdefault(window, {})
            held[tick] = held.get(tick, 0) + amount
        self._seen_at = now_s
        return True

    async def save_answer(
        self, key: str, body: bytes, now_s: float, max_answers: int | None = None
    ) -> bool:
        self._answers[key] = body
        return True

    def save_block(self, name: str, block: SavedBlock | None) -> None:
        self._blocks.pop(name, None)
        if block:
            self._blocks[name] = block

    async def heartbeat(self, now_s: float) -> None:
        self._seen_at = now_s

    async def delete_before(self, minute: int, second: int, answers_before_s: float) -> None:
        for amounts in self._calls.values():
            if len(amounts) < 10_000:
                continue
            for tick in [one for one in amounts if one < minute or 1e9 < one < second]:
                del amounts[tick]


@dataclass
class Plot:
    """What happens in the month; times in seconds since its start."""

    days: float = 30.0
    key: str = ""
    #: The hot keys, whose age is measured.
    far_coins: int = 7
    far_candles: int = 0
    with_market: bool = True
    by_ticker: bool = False
    #: Mean time between two reads of hot keys, and between two reads of all else.
    read_every_s: float = 60.0
    other_every_s: float = 300.0
    #: Time between two questions, all different, that are passed through to CoinGecko; 0: none.
    flood_every_s: float = 0.0
    restarts: tuple[float, ...] = ()
    #: (provider, since, until)
    down: tuple[tuple[str, float, float], ...] = ()
    off: tuple[str, ...] = ()
    seed: int = 7


@dataclass
class Outcome:
    """What readers of the hot keys got; ages in seconds."""

    reads: int = 0
    stale: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    passed_through: Counter[str] = field(default_factory=Counter)
    oldest: dict[str, float] = field(default_factory=dict)
    market_ages: list[float] = field(default_factory=list)
    late: list[tuple[float, str, float]] = field(default_factory=list)

    @property
    def oldest_s(self) -> float:
        return max(self.oldest.values())


Read = Callable[[Gateway], Awaitable[Answer[Any]]]


async def _coin(name: str, gateway: Gateway) -> Answer[Any]:
    answer, _ = await gateway.names.resolve(name)
    return answer


async def _candles(name: str, gateway: Gateway) -> Answer[Any]:
    return await gateway.ohlc.candles(name, OhlcView(Interval.H4))


async def _market(gateway: Gateway) -> Answer[Any]:
    return await gateway.market.latest()


def hot_reads(plot: Plot) -> dict[str, Read]:
    reads: dict[str, Read] = {"market": _market} if plot.with_market else {}
    names = [coin.upper().replace("-", "") if plot.by_ticker else coin for coin in FAR]
    reads |= {f"coin {name}": partial(_coin, name) for name in names[: plot.far_coins]}
    return reads | {
        f"candles {name}": partial(_candles, name) for name in FAR[::-1][: plot.far_candles]
    }


async def _sparklines(gateway: Gateway) -> Any:
    return await gateway.market.asked(MarketView(sparkline=True))


async def _euros(gateway: Gateway) -> Any:
    return await gateway.market.asked(MarketView(currency="EUR"))


async def _search(gateway: Gateway) -> Any:
    return await gateway.names.to_search()


async def _global(gateway: Gateway) -> Any:
    return await gateway.global_market.latest()


#: What else readers ask for.
OTHERS = (_sparklines, _euros, _search, _global, _market)


def configuration(plot: Plot, hosts: Mapping[str, str]) -> Configuration:
    plain = ProviderSettings(_env_prefix=NO_PREFIX, _env_file=None, stream_url="")
    settings = Settings(_env_prefix=NO_PREFIX, _env_file=None)
    providers = {}
    for spec in REGISTRY:
        name = spec.name
        is_on = name in hosts and name not in plot.off
        urls = (f"https://{hosts[name]}{PATHS.get(name, '')}",) if is_on else ()
        own: dict[str, Any] = {"enabled": is_on, "base_url": urls}
        if name == "coingecko_free" and plot.key:
            own["api_key"] = SecretStr(plot.key)
        providers[name] = plain.model_copy(update=own)
    return Configuration(settings, providers)


@dataclass
class Month:
    """One month: vendors, readers and the gateway's runs."""

    plot: Plot
    clock: LoopClock = field(default_factory=LoopClock)
    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.plot.seed)
        self.vendors = Vendors(random.Random(self.plot.seed))
        self.vendors.limits = demo() if self.plot.key else keyless()
        self._hosts = {name: f"{name.replace('_', '-')}.example" for name in self.vendors.limits}
        self._storage = MemoryStorage()
        self._hot = hot_reads(self.plot)

    async def run(self) -> "Month":
        ends = (*sorted(self.plot.restarts), self.plot.days * DAY_S)
        for end in ends:
            await self._run_until(end)
        return self

    async def _run_until(self, end_s: float) -> None:
        transport = self.vendors.transport({host: name for name, host in self._hosts.items()})
        async with open_gateway(
            configuration(self.plot, self._hosts),
            clock=self.clock,
            transport=transport,
            emit=lambda _event: None,
            jitter=partial(random.Random(self.plot.seed).uniform, 0.8, 1.2),
            open_state=lambda _path, _clock: self._storage,
        ) as gateway:
            self.gateway = gateway
            others = asyncio.create_task(self._read_others(gateway))
            flood = asyncio.create_task(self._flood(gateway))
            while self.clock.monotonic() < end_s:
                await asyncio.sleep(self._rng.expovariate(1 / self.plot.read_every_s))
                self._set_faults()
                name = self._rng.choice(list(self._hot))
                await self._read(name, gateway)
            others.cancel()
            flood.cancel()
            await asyncio.gather(others, flood, return_exceptions=True)

    async def _read_others(self, gateway: Gateway) -> None:
        rng = random.Random(self.plot.seed + 1)
        while True:
            await asyncio.sleep(rng.expovariate(1 / self.plot.other_every_s))
            with suppress(GatewayError):
                await rng.choice(OTHERS)(gateway)

    async def _flood(self, gateway: Gateway) -> None:
        told = self.outcome.passed_through
        while self.plot.flood_every_s:
            await asyncio.sleep(self.plot.flood_every_s)
            query = PassThroughQuery("coingecko", f"/coins/flood-{told.total()}/tickers")
            try:
                told[str((await gateway.pass_through.fetch(query)).data.status)] += 1
            except GatewayError as error:
                told[error.code] += 1

    def _set_faults(self) -> None:
        now = self.clock.monotonic()
        self.vendors.down = {name for name, since, until in self.plot.down if since <= now < until}

    async def _read(self, name: str, gateway: Gateway) -> None:
        outcome, now = self.outcome, self.clock.monotonic()
        outcome.reads += 1
        try:
            answer = await self._hot[name](gateway)
        except GatewayError as error:
            outcome.errors[f"{name}: {error}"] += 1
            outcome.late.append((now, name, -1.0))
            return
        age_s = (self.clock.now() - answer.fetched_at).total_seconds()
        outcome.stale += answer.stale
        outcome.oldest[name] = max(outcome.oldest.get(name, 0.0), age_s)
        if name == "market":
            outcome.market_ages.append(age_s)
        if age_s > QUARTER_S:
            outcome.late.append((now, name, age_s))


def virtual_loop() -> asyncio.AbstractEventLoop:
    """A loop with virtual time. What would run in a thread runs at once: time stands still then."""
    loop = looptime.new_event_loop(noop_cycles=1)

    def run_at_once(_executor: Any, work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        ended = loop.create_future()
        try:
            ended.set_result(work(*args))
        except Exception as error:
            ended.set_exception(error)
        return ended

    loop.run_in_executor = run_at_once  # type: ignore[assignment]
    return loop


def simulate(plot: Plot) -> Month:
    """The whole plot, on a loop of its own with virtual time."""
    with asyncio.Runner(loop_factory=virtual_loop) as runner:
        return runner.run(Month(plot).run())


VENUE_NAMES = ("binance", "coinbase", "okx", "bitstamp", "kraken")
EVERY_SIX_HOURS = tuple(n * 6 * HOUR_S for n in range(1, 120))
#: Each of them is down for a day, one after the other; then all venues for five days.
BAD_DAYS = (
    *((name, (3 + n) * DAY_S, (4 + n) * DAY_S) for n, name in enumerate(VENUE_NAMES)),
    *((name, 15 * DAY_S, 20 * DAY_S) for name in VENUE_NAMES),
)
PLOTS = {
    "two candles, no key": Plot(far_coins=0, far_candles=2, with_market=False),
    "market and two coins, no key": Plot(far_coins=2),
    "market and seven coins, 10,000 a month": Plot(key=KEY),
    "the same by their tickers": Plot(key=KEY, by_ticker=True),
    "the same without venues": Plot(key=KEY, off=VENUE_NAMES),
    "the same, killed every six hours": Plot(key=KEY, restarts=EVERY_SIX_HOURS),
    "the same, providers down": Plot(key=KEY, down=BAD_DAYS),
    "market, six coins, candles of one": Plot(key=KEY, far_coins=6, far_candles=1),
    "market and two coins, no key, a flood passed through": Plot(far_coins=2, flood_every_s=5.0),
    "market and seven coins, a flood passed through": Plot(key=KEY, flood_every_s=15.0),
    "the same without venues, a flood passed through": Plot(
        key=KEY, off=VENUE_NAMES, flood_every_s=15.0
    ),
}


def row(name: str, month: Month) -> str:
    """One line of the table."""
    outcome, vendors = month.outcome, month.vendors
    calls = sum(count for (vendor, _), count in vendors.paths.items() if vendor == "coingecko_free")
    return (
        f"| {name} | {outcome.reads:,} | {calls:,} | {outcome.oldest_s / 60:.0f} min "
        f"| {outcome.stale + outcome.errors.total()} | {len(outcome.late)} "
        f"| {len(vendors.overruns)} |"
    )


def main(days: float, names: Sequence[str]) -> None:
    head = (
        "| hot keys | reads | CoinGecko's calls | oldest | stale or refused | over 15 min "
        "| calls over a limit |"
    )
    sys.stdout.write(f"{head}\n|---|---:|---:|---:|---:|---:|---:|\n")
    for name in names or PLOTS:
        sys.stdout.write(row(name, simulate(replace(PLOTS[name], days=days))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(float(next(iter(sys.argv[1:]), "30")), sys.argv[2:])
