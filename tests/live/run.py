"""A run: all targets side by side, the market first, as it has the price to compare with."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from statistics import median
from urllib.parse import urlsplit

import httpx

from backend.clock import Clock, SystemClock
from backend.models.status import ProviderState
from backend.orchestration.calls.endpoint import Endpoint, Hosts
from backend.orchestration.provider_factory import ProviderFactory
from backend.providers.adapter import ProviderSpec, PushFeed
from backend.providers.client import ProviderClient
from backend.providers.transport import open_transport
from backend.redaction import Redactor
from backend.settings import Configuration, ProviderSettings
from tests.live.ask import Target
from tests.live.checks import Found, need_same_price
from tests.live.client import Traffic, WatchedClient
from tests.live.listen import Listener
from tests.live.row import DISABLED, NOT_ASKED, NOT_CONFIGURED, Row

#: Longest time of a run, in seconds.
LONGEST_S = 600.0


@dataclass
class Plan:
    """What a run will ask, with the rows of its table in the order of the registry."""

    targets: list[Target] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    async def follow(self) -> None:
        await asyncio.gather(*(one.ask(market=True, price=None) for one in self.targets))
        market = [row for row in self.rows if row.bitcoin is not None]
        price = median(row.bitcoin or 0.0 for row in market) if market else None
        for row in market:
            found = Found(bitcoin=row.bitcoin)
            need_same_price(found, price)
            row.problems += found.problems
        await asyncio.gather(
            *(one.ask(market=False, price=price) for one in self.targets),
            *(one.listen(price) for one in self.listeners),
        )


async def run(
    configuration: Configuration,
    specs: Sequence[ProviderSpec],
    *,
    longest_s: float = LONGEST_S,
    clock: Clock | None = None,
) -> list[Row]:
    """Asks each provider of `specs` for each of its operations, within `longest_s` seconds."""
    clock = clock or SystemClock()
    transport = open_transport(configuration.network)
    async with ProviderClient(clock, transport) as client:
        planner = Planner(configuration, client, transport, clock)
        plan = planner.plan(specs)
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await plan.follow()
    for row in plan.rows:
        if row.outcome == NOT_ASKED and not row.notes:
            row.notes.append(f"no time left within {longest_s:g} s")
    return plan.rows


@dataclass
class Planner:
    configuration: Configuration
    client: ProviderClient
    transport: httpx.AsyncBaseTransport
    clock: Clock

    def __post_init__(self) -> None:
        self.redact = Redactor(self.configuration.secrets())
        self.traffic = Traffic()
        self.factory = ProviderFactory(
            self.configuration,
            self.client,
            clock=self.clock,
            emit=lambda _event: None,
            jitter=lambda: 1.0,
            redact=self.redact,
        )

    def plan(self, specs: Sequence[ProviderSpec]) -> Plan:
        plan = Plan()
        for spec in specs:
            settings = self.configuration.providers[spec.name]
            provider = self.factory.build(spec)
            if not provider.is_configured:
                is_off = provider.state is ProviderState.DISABLED
                note = "switched off" if is_off else f"needs {spec.key_variable}"
                outcome = DISABLED if is_off else NOT_CONFIGURED
                plan.rows.append(Row(spec.name, "all", outcome, notes=[note]))
                continue
            for name, endpoint in _endpoints(spec, provider._executor.endpoint()):
                client = WatchedClient(self.clock, self.transport, self.traffic)
                target = Target(spec.name, name, endpoint, client, self.clock, self.redact)
                plan.targets.append(target)
                plan.rows += target.rows()
            if spec.push:
                self._plan_stream(plan, spec, spec.push, settings)
        return plan

    def _plan_stream(
        self, plan: Plan, spec: ProviderSpec, feed: PushFeed, settings: ProviderSettings
    ) -> None:
        own = {url for one in (spec.keyless, spec.keyed) if one for url in one.base_urls}
        is_elsewhere = settings.stream_url is None and not own.issuperset(settings.base_url)
        if settings.stream_url == "" or is_elsewhere:  # as in the gateway
            plan.rows.append(Row(spec.name, "push", DISABLED, notes=["no address"]))
            return
        base_url, network = settings.stream_url or feed.base_url, self.configuration.network
        listener = Listener(spec, feed, base_url, self.clock, network, self.redact)
        plan.listeners.append(listener)
        plan.rows += listener.rows()


def _endpoints(spec: ProviderSpec, endpoint: Endpoint) -> Iterator[tuple[str, Endpoint]]:
    """The endpoint, or one for each of its hosts that different operators run."""
    hosts = endpoint.hosts.available()
    if not endpoint.plan.independent_hosts or len(hosts) < 2:
        yield spec.name, endpoint
        return
    for url in hosts:
        yield f"{spec.name} @ {_host(url)}", replace(endpoint, hosts=Hosts(endpoint.clock, (url,)))


def _host(url: str) -> str:
    return urlsplit(url).netloc
