"""The composition root: the only file that knows every class, and owns their lives."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from backend.clock import Clock, SystemClock
from backend.events import Event, EventSink
from backend.models.answer import Query
from backend.models.gas import GasQuery
from backend.models.market import QuotesQuery
from backend.models.news import ReportsQuery
from backend.models.ohlc import Interval, OhlcQuery
from backend.models.sentiment import SentimentQuery
from backend.observability.event_log import EventLog
from backend.observability.history import RotationHistory
from backend.observability.redaction import Redactor
from backend.orchestration.provider_factory import ProviderFactory, keyed_plan
from backend.orchestration.provider_manager import ProviderManager
from backend.orchestration.tick_stream import TickStream
from backend.providers.adapter import ProviderSpec
from backend.providers.client import ProviderClient
from backend.providers.registry import REGISTRY
from backend.services.gas import GasService
from backend.services.live import LiveService
from backend.services.market import MarketService
from backend.services.news import NewsService
from backend.services.ohlc import OhlcService
from backend.services.sentiment import SentimentService
from backend.services.status import CacheView, StatusService
from backend.settings import Configuration, load_configuration
from backend.sources import Caches, Sources, build_sources

Q = TypeVar("Q", bound=Query[Any])
T = TypeVar("T")

log = logging.getLogger("gateway")


#: The plainest question to the providers of each category: who could answer that?
PLAIN: dict[str, Query[Any]] = {
    "market": QuotesQuery(universe_known=True),
    "ohlc": OhlcQuery("bitcoin", "BTCUSDT", Interval.H4, reference_price=1.0),
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
    clock: Clock


def read_configuration() -> Configuration:
    """All settings, the providers' included. Raises SettingsError."""
    configuration = load_configuration(spec.name for spec in REGISTRY)
    for spec in REGISTRY:
        keyed_plan(spec, configuration.providers[spec.name].plan)
    return configuration


def _jitter() -> float:
    """Spreads cooldowns, so that providers that fell together don't return together."""
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
) -> AsyncIterator[Gateway]:
    """A gateway that is ready to answer; ends its tasks and connections on leaving."""
    clock, history = clock or SystemClock(), RotationHistory()
    tell = _tell_all(emit or EventLog(), history)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(ProviderClient(clock, transport))
        factory = ProviderFactory(
            configuration,
            client,
            clock=clock,
            emit=tell,
            jitter=jitter,
            redact=Redactor(configuration.secrets()),
        )
        settings = configuration.gateway
        manager = ProviderManager(
            [factory.build(spec) for spec in registry],
            clock=clock,
            emit=tell,
            deadline_s=settings.request_deadline,
            attempt_timeout_s=settings.provider_timeout,
        )
        ticks = factory.tick_stream(registry)
        _announce(manager, configuration.unused)
        gateway = _compose(
            build_sources(Caches(clock, tell, settings, stack), manager),
            manager,
            history,
            ticks,
            clock=clock,
            deadline_s=settings.request_deadline,
        )
        listening = asyncio.create_task(gateway.live.run(), name="ticks")
        stack.push_async_callback(_cancelled, listening)
        yield gateway


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _tell_all(*sinks: EventSink) -> EventSink:
    def tell(event: Event) -> None:
        for sink in sinks:
            sink(event)

    return tell


def _compose(
    sources: Sources,
    manager: ProviderManager,
    history: RotationHistory,
    ticks: TickStream | None,
    *,
    clock: Clock,
    deadline_s: float,
) -> Gateway:
    ohlc = OhlcService(sources.ohlc, sources.names, clock=clock, deadline_s=deadline_s)
    live = LiveService(ticks, sources, ohlc, clock=clock)
    categories: dict[str, CacheView] = {name: getattr(sources, name) for name in PLAIN}
    return Gateway(
        market=sources.names,
        ohlc=ohlc,
        news=NewsService(sources.news),
        sentiment=SentimentService(sources.sentiment),
        gas=GasService(sources.gas),
        status=StatusService(
            manager, history, categories, PLAIN, ticks=live.tick_status, clock=clock
        ),
        live=live,
        clock=clock,
    )


def _announce(manager: ProviderManager, unused: Sequence[str]) -> None:
    """Who can serve what now, which variable would unlock the others, which are set in vain."""
    chains = {
        name: " > ".join(provider.name for provider in manager.standing(query)) or "nobody"
        for name, query in PLAIN.items()
    }
    text = "; ".join(f"{name}: {chain}" for name, chain in chains.items())
    log.info("Provider Manager initialized  %s", text)
    for provider in manager.providers:
        if hint := provider.status().hint:
            log.info("%s is off: %s", provider.name, hint)
    if unused:
        log.warning("not used by this version: %s", ", ".join(unused))
