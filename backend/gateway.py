"""The composition root: builds every part of the gateway, and owns their lifecycles."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry

from backend.categories import CATEGORIES
from backend.clock import Clock, SystemClock
from backend.cluster.contract import Cluster, SingleProcess
from backend.environment import SettingsError
from backend.events import Event, EventSink
from backend.joined_cluster import JoinedCluster, join_cluster
from backend.models.answer import Source
from backend.models.news import News, NewsQuery
from backend.models.pass_through import PassThroughQuery, VendorAnswer
from backend.models.sentiment import FearGreedSeries, SentimentQuery
from backend.models.status import ProviderState, WebSocketStatus
from backend.observability.event_log import EventLog
from backend.observability.metrics import EventMetrics, Readings
from backend.observability.worker_metrics import WorkerMetrics
from backend.orchestration.accounts import learn_accounts
from backend.orchestration.health.reachability import Reachability
from backend.orchestration.limits.ledger import Ledger
from backend.orchestration.provider_factory import ProviderFactory, keyed_plan
from backend.orchestration.provider_manager import ProviderManager
from backend.orchestration.push.factory import PushFactory
from backend.orchestration.push.raw_streams import RawStreams
from backend.orchestration.push.relayed_ticks import RelayedTicks
from backend.providers.adapter import ProviderSpec
from backend.providers.client import ProviderClient
from backend.providers.registry import REGISTRY
from backend.providers.transport import open_transport
from backend.redaction import Redactor
from backend.services.candles.service import OhlcService
from backend.services.currency import CurrencyService
from backend.services.gas import GasService
from backend.services.global_market import GlobalMarketService
from backend.services.live import LiveService, TickSource
from backend.services.market.coin_names import CoinNames
from backend.services.market.service import MarketService
from backend.services.market.symbols import CoinDirectory
from backend.settings import Configuration, ProviderSettings, Settings, load_configuration
from backend.sources import Sources
from backend.status import RotationHistory, StatusService
from backend.storage.contract import Storage, discard_invalid
from backend.storage.sqlite_storage import open_storage

log = logging.getLogger("gateway")


#: Interval at which the counts of daily and monthly calls are saved, in seconds.
SAVE_INTERVAL_S = 300.0
#: Ages in seconds at which calls, calls of short windows (an hour at most) and answers are deleted.
CALLS_KEPT_S, RECENT_CALLS_KEPT_S, ANSWERS_KEPT_S = 62 * 86_400.0, 2 * 3_600.0, 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """The services and cached sources that the API calls. `worker_metrics` has the metrics of all
    workers of this machine, if there are several. `raw_streams` are run by those who read them."""

    market: MarketService
    coins: CoinDirectory
    names: CoinNames
    ohlc: OhlcService
    news: Source[NewsQuery, News]
    sentiment: Source[SentimentQuery, FearGreedSeries]
    gas: GasService
    global_market: GlobalMarketService
    pass_through: Source[PassThroughQuery, VendorAnswer]
    status: StatusService
    live: LiveService
    metrics: CollectorRegistry
    clock: Clock
    cluster: Cluster
    request_deadline_s: float
    worker_metrics: WorkerMetrics | None = None
    raw_streams: RawStreams | None = None


def read_configuration() -> Configuration:
    """All settings, the providers' included. Raises SettingsError."""
    return load_configuration((spec.name for spec in REGISTRY), _unknown_plans)


def _unknown_plans(providers: Mapping[str, ProviderSettings]) -> Iterator[str]:
    for spec in REGISTRY:
        try:
            if spec.name in providers:
                keyed_plan(spec, providers[spec.name].plan)
        except SettingsError as error:
            yield from error.problems


def _jitter() -> float:
    """Spreads cooldowns and refreshes, so that those that start together do not end together."""
    return random.uniform(0.8, 1.2)  # noqa: S311 - no secret depends on it


@asynccontextmanager
async def open_gateway(
    configuration: Configuration,
    *,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    registry: Sequence[ProviderSpec] = REGISTRY,
    emit: EventSink | None = None,
    jitter: Callable[[], float] = _jitter,
    open_state: Callable[[Path | None, Clock], Storage] = open_storage,
) -> AsyncIterator[Gateway]:
    """A gateway that is ready to answer; leaving ends its tasks and closes its connections."""
    clock, history, metrics = clock or SystemClock(), RotationHistory(), EventMetrics()
    settings, reachability = configuration.gateway, Reachability(clock)
    sinks = (emit or EventLog(), history, metrics)
    # Only a cluster has another process that could call instead of this one.
    emit = partial(_emit_to, (*sinks, reachability) if settings.redis_url else sinks)
    async with AsyncExitStack() as stack:
        storage = open_state(settings.state_path, clock)
        joined = await join_cluster(configuration, storage, clock) if settings.redis_url else None
        if joined:
            stack.push_async_callback(joined.membership.aclose)
            storage = joined.storage
        stack.push_async_callback(storage.aclose)
        saved, problems = discard_invalid(await storage.load(), clock.now().timestamp())
        for problem in problems:
            log.warning("STATE_PATH: %s and is set aside", problem)
        transport = transport or open_transport(configuration.network)
        client = await stack.enter_async_context(ProviderClient(clock, transport))
        factory = ProviderFactory(
            configuration,
            client,
            clock=clock,
            emit=emit,
            jitter=jitter,
            redact=Redactor(configuration.secrets()),
            store=storage,
            saved=saved,
            shared=joined.limits if joined else None,
        )
        stack.push_async_callback(_save_all, factory.ledgers.values())
        manager = factory.manager(registry)
        stack.push_async_callback(manager.aclose)
        _log_start(manager, configuration)
        cluster = joined.membership if joined else None
        sources = Sources(manager, clock, emit, settings, storage, jitter, cluster)
        stack.push_async_callback(sources.aclose)
        await sources.restore(saved.answers)
        processes = joined.limits.processes if joined else 1
        push = PushFactory(configuration, clock, emit, jitter, processes)
        own = push.ticks(registry, sources.universe.instruments_at)
        ticks = RelayedTicks(own, cluster, clock=clock) if own and cluster else own
        gateway = _compose(
            sources, manager, history, metrics, ticks, clock, settings, cluster or SingleProcess()
        )
        gateway = replace(gateway, raw_streams=push.raw_streams(registry))
        work = [
            gateway.live.run(),
            sources.names.keep_current(),
            _learn_accounts(manager, configuration, joined),
            _save_periodically(storage, factory, clock),
        ]
        if joined and sources.exchange:
            joined.membership.is_able = lambda: bool(reachability)
            joined.membership.on_role = sources.note_role
            joined.take_over_with(factory)
            work += [joined.membership.run(), gateway.status.run()]
            shared = joined.add_metrics(metrics.registry, sources.exchange, gateway.status.exchange)
            gateway = replace(gateway, worker_metrics=shared)
        stack.push_async_callback(_cancel, [asyncio.create_task(each) for each in work])
        yield gateway


async def _learn_accounts(
    manager: ProviderManager, configuration: Configuration, joined: JoinedCluster | None
) -> None:
    """In a cluster the leader asks for all."""
    if joined:
        await joined.membership.has_led.wait()
    await learn_accounts(manager.providers, configuration)


async def _save_periodically(storage: Storage, factory: ProviderFactory, clock: Clock) -> None:
    """Saves the counts, and the time: after a restart, time without a heartbeat counts as
    used up. Deletes old state."""
    while True:
        now_s = clock.now().timestamp()
        await _save_all(factory.ledgers.values())
        await storage.heartbeat(now_s)
        if factory.shared:  # from now on the file has all calls within the share
            await storage.add_calls({(factory.shared.mark, int(now_s)): 1}, None)
        await storage.delete_before(
            int((now_s - CALLS_KEPT_S) // 60),
            int(now_s - RECENT_CALLS_KEPT_S),
            now_s - ANSWERS_KEPT_S,
        )
        await asyncio.sleep(SAVE_INTERVAL_S)


async def _save_all(ledgers: Iterable[Ledger]) -> None:
    for ledger in ledgers:
        await ledger.save()


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _emit_to(sinks: Iterable[EventSink], event: Event) -> None:
    for sink in sinks:
        sink(event)


def _compose(
    sources: Sources,
    manager: ProviderManager,
    history: RotationHistory,
    metrics: EventMetrics,
    ticks: TickSource | None,
    clock: Clock,
    settings: Settings,
    cluster: Cluster,
) -> Gateway:
    cached, coins = sources.cached, sources.coins
    currencies = CurrencyService(cached["rates"])
    ohlc = OhlcService(
        cached["ohlc"],
        coins,
        sources.names,
        clock=clock,
        deadline_s=settings.request_deadline,
        able=lambda query: [provider.name for provider in manager.able(query)],
    )
    live = LiveService(ticks, cached, sources.universe, ohlc, clock=clock)
    status = StatusService(
        manager,
        history,
        cached,
        settings=settings,
        ticks=live.tick_status,
        clock=clock,
        spread=lambda: sources.universe.spread,
        cluster=cluster,
    )
    counters = {name: source.counters for name, source in cached.items()}
    metrics.registry.register(Readings(lambda: status.own(WebSocketStatus()), counters))
    return Gateway(
        market=MarketService(coins, sources.names, currencies, cached["sparklines"]),
        names=sources.names,
        coins=coins,
        ohlc=ohlc,
        news=cached["news"],
        sentiment=cached["sentiment"],
        gas=GasService(cached["gas"]),
        global_market=GlobalMarketService(cached["global"], currencies),
        pass_through=cached["pass_through"],
        status=status,
        live=live,
        metrics=metrics.registry,
        clock=clock,
        cluster=cluster,
        request_deadline_s=settings.request_deadline,
    )


def _log_start(manager: ProviderManager, configuration: Configuration) -> None:
    """Logs the providers of each category, how to enable the others, and what is ignored."""
    chains = {
        name: " > ".join(one.name for one in manager.able(category.provider_query)) or "none"
        for name, category in CATEGORIES.items()
    }
    log.info("Provider Manager initialized  %s", "; ".join(map(": ".join, chains.items())))
    states = [provider.status() for provider in manager.providers]
    if missing := [one for one in states if one.status == ProviderState.NOT_CONFIGURED]:
        added = (
            f"{one.name.upper()}_API_KEY adds {one.name} ({', '.join(_routed(one.categories))})"
            for one in missing
        )
        log.info("no key is needed; %s", "; ".join(added))
    if disabled := [one.name for one in states if one.status == ProviderState.DISABLED]:
        log.info("switched off by <NAME>_ENABLED=false: %s", ", ".join(disabled))
    for proxy in configuration.network.proxies:
        log.info("providers are called through proxy %s (%s)", proxy.address, proxy.variable)
    if configuration.worker == 0:  # once, however many workers start
        for warning in configuration.warnings:
            log.warning("%s", warning)


def _routed(categories: Iterable[str]) -> Iterator[str]:
    """Without the categories that only serve the routes of others."""
    return (name for name in categories if name in CATEGORIES)
