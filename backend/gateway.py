"""The composition root: the only file that knows every class, and owns their lives."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from prometheus_client import CollectorRegistry

from backend.cache.cached_source import CachedSource
from backend.cache.last_answers import LastAnswers
from backend.clock import Clock, SystemClock
from backend.events import Event, EventSink
from backend.identity.instruments import guessed_instruments
from backend.models.answer import Query
from backend.models.gas import GasQuery
from backend.models.market import QuotesQuery
from backend.models.news import ReportsQuery
from backend.models.ohlc import Interval, OhlcQuery
from backend.models.sentiment import SentimentQuery
from backend.models.status import WebSocketStatus
from backend.observability.event_log import EventLog
from backend.observability.history import RotationHistory
from backend.observability.metrics import EventMetrics, make_registry
from backend.observability.readings import CacheReadings, StatusReadings
from backend.observability.redaction import Redactor
from backend.orchestration.accounts import learn_accounts
from backend.orchestration.limits.ledger import Ledger
from backend.orchestration.provider_factory import ProviderFactory, keyed_plan
from backend.orchestration.provider_manager import ProviderManager
from backend.orchestration.push.tick_stream import TickStream
from backend.providers.adapter import ProviderSpec
from backend.providers.client import ProviderClient
from backend.providers.registry import REGISTRY
from backend.providers.transport import open_transport
from backend.services.gas import GasService
from backend.services.live import LiveService
from backend.services.market import MarketService
from backend.services.news import NewsService
from backend.services.ohlc import OhlcService
from backend.services.sentiment import SentimentService
from backend.settings import Configuration, Settings, load_configuration
from backend.sources import Caches, Sources, build_sources
from backend.status import StatusService
from backend.storage import Remembered, Storage, open_storage, sound

Q = TypeVar("Q", bound=Query[Any])
T = TypeVar("T")

log = logging.getLogger("gateway")


#: What has readers is renewed so much of its TTL before it expires.
AHEAD_SHARE = 0.15
#: The books of days' and months' calls are brought up to date so often, in seconds.
BOOKS_S = 300.0
#: No period of a limit is longer, and no answer is served that is older.
LONGEST_PERIOD_S, KEPT_ANSWERS_S = 62 * 86_400.0, 30 * 86_400.0
#: Calls of windows of at most an hour are kept a little longer than that, in seconds.
RECENT_S = 2 * 3_600.0


#: The plainest question to the providers of each category: who could answer that?
PLAIN: dict[str, Query[Any]] = {
    "market": QuotesQuery(universe_known=True),
    "ohlc": OhlcQuery("bitcoin", guessed_instruments("BTC"), Interval.H4, reference_price=1.0),
    "news": ReportsQuery(),
    "sentiment": SentimentQuery(),
    "gas": GasQuery(),
}


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the HTTP floor is given."""

    market: MarketService
    ohlc: OhlcService
    news: NewsService
    sentiment: SentimentService
    gas: GasService
    status: StatusService
    live: LiveService
    metrics: CollectorRegistry
    clock: Clock


def read_configuration() -> Configuration:
    """All settings, the providers' included. Raises SettingsError."""
    configuration = load_configuration(spec.name for spec in REGISTRY)
    for spec in REGISTRY:
        keyed_plan(spec, configuration.providers[spec.name].plan)
    return configuration


def _jitter() -> float:
    """Spreads cooldowns and refreshes, so that what fell due together doesn't return together."""
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
    """A gateway that is ready to answer; ends its tasks and connections on leaving."""
    clock, history, metrics = clock or SystemClock(), RotationHistory(), EventMetrics()
    tell = _tell_all(emit or EventLog(), history, metrics)
    async with AsyncExitStack() as stack:
        storage = open_state(configuration.gateway.state_path, clock)
        stack.push_async_callback(storage.aclose)
        remembered = _sound(await storage.remembered(), clock)
        transport = transport or open_transport(configuration.network)
        client = await stack.enter_async_context(ProviderClient(clock, transport))
        factory = ProviderFactory(
            configuration,
            client,
            clock=clock,
            emit=tell,
            jitter=jitter,
            redact=Redactor(configuration.secrets()),
            store=storage,
            remembered=remembered,
        )
        stack.push_async_callback(_save_all, factory.ledgers)
        settings = configuration.gateway
        manager = ProviderManager(
            [factory.build(spec) for spec in registry],
            clock=clock,
            emit=tell,
            deadline_s=settings.request_deadline,
            attempt_timeout_s=settings.provider_timeout,
        )
        stack.push_async_callback(manager.aclose)
        ticks = factory.tick_stream(registry)
        _announce(manager, configuration)
        answers = LastAnswers(storage, clock)
        stack.push_async_callback(answers.aclose)
        caches = Caches(
            clock, tell, settings, stack, answers, ahead=lambda: 1 - AHEAD_SHARE * jitter()
        )
        sources = build_sources(caches, manager)
        await answers.recall(remembered.answers)
        gateway = _compose(
            sources,
            manager,
            history,
            metrics,
            ticks,
            clock=clock,
            settings=settings,
        )
        tasks = [
            asyncio.create_task(gateway.live.run(), name="ticks"),
            asyncio.create_task(learn_accounts(manager.providers, configuration), name="accounts"),
            asyncio.create_task(_keep_books(storage, factory.ledgers, clock), name="books"),
        ]
        stack.push_async_callback(_cancelled, tasks)
        yield gateway


def _sound(remembered: Remembered, clock: Clock) -> Remembered:
    """What can be true of it; of the rest a warning."""
    remembered, problems = sound(remembered, clock.now().timestamp())
    for problem in problems:
        log.warning("STATE_PATH: %s and is set aside", problem)
    return remembered


async def _keep_books(storage: Storage, ledgers: Sequence[Ledger], clock: Clock) -> None:
    """Says now and then that we live: time without a sign counts as spent after a restart."""
    while True:
        now_s = clock.now().timestamp()
        await _save_all(ledgers)
        await storage.sign_of_life(now_s)
        await storage.forget_before(
            int((now_s - LONGEST_PERIOD_S) // 60), int(now_s - RECENT_S), now_s - KEPT_ANSWERS_S
        )
        await asyncio.sleep(BOOKS_S)


async def _save_all(ledgers: Sequence[Ledger]) -> None:
    for ledger in ledgers:
        await ledger.save()


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _tell_all(*sinks: EventSink) -> EventSink:
    def tell(event: Event) -> None:
        for sink in sinks:
            sink(event)

    return tell


def _compose(
    sources: Sources,
    manager: ProviderManager,
    history: RotationHistory,
    metrics: EventMetrics,
    ticks: TickStream | None,
    *,
    clock: Clock,
    settings: Settings,
) -> Gateway:
    ohlc = OhlcService(
        sources.ohlc, sources.names, clock=clock, deadline_s=settings.request_deadline
    )
    caches: dict[str, CachedSource[Any, Any]] = {name: getattr(sources, name) for name in PLAIN}
    live = LiveService(ticks, caches, sources.universe, ohlc, clock=clock)
    status = StatusService(
        manager,
        history,
        caches,
        PLAIN,
        ttls={name: getattr(settings, f"cache_ttl_{name}") for name in PLAIN},
        ticks=live.tick_status,
        clock=clock,
        spread=lambda: sources.universe.spread,
    )
    counters = {name: cache.counters for name, cache in caches.items()}
    readings = StatusReadings(lambda: status.overview(WebSocketStatus()))
    return Gateway(
        market=sources.names,
        ohlc=ohlc,
        news=NewsService(sources.news),
        sentiment=SentimentService(sources.sentiment),
        gas=GasService(sources.gas),
        status=status,
        live=live,
        metrics=make_registry(metrics, readings, CacheReadings(counters)),
        clock=clock,
    )


def _announce(manager: ProviderManager, configuration: Configuration) -> None:
    """Who can serve what now, which variable would unlock the others, and what is ignored."""
    chains = {
        name: " > ".join(provider.name for provider in manager.eligible(query)) or "nobody"
        for name, query in PLAIN.items()
    }
    text = "; ".join(f"{name}: {chain}" for name, chain in chains.items())
    log.info("Provider Manager initialized  %s", text)
    for provider in manager.providers:
        told = provider.status()
        if told.hint:
            log.info("%s is off: %s (%s)", told.name, told.hint, ", ".join(told.categories))
    for proxy in configuration.network.proxies.proxies:
        log.info("providers are called by the proxy %s (%s)", proxy.address, proxy.variable)
    for warning in configuration.warnings:
        log.warning("%s", warning)
