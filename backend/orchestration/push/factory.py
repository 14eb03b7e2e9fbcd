"""Builds the push connections of the registry's venues, by the user's settings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from backend.clock import Clock
from backend.events import EventSink
from backend.identity.instruments import Instrument
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.push.raw_streams import RawStreams
from backend.orchestration.push.tick_failover import TickFailover
from backend.orchestration.push.tick_stream import Connect, TickStream
from backend.providers.adapter import ProviderSpec, PushFeed
from backend.providers.push_client import PushClient
from backend.settings import Configuration


@dataclass(eq=False, repr=False)
class PushFactory:
    """`processes` are those that share the connects of an address: 1 without a cluster."""

    configuration: Configuration
    clock: Clock
    emit: EventSink
    jitter: Callable[[], float]
    processes: int = 1

    def __post_init__(self) -> None:
        #: By venue.
        self._connects: dict[str, RateLimitGuard] = {}

    def ticks(
        self, specs: Sequence[ProviderSpec], instruments: Callable[[str], tuple[Instrument, ...]]
    ) -> TickFailover | None:
        """The ticks of the venues with a push feed, in their order; None where the settings switch
        all of them off. `instruments` gives those of the market's coins at a venue."""
        streams = [
            TickStream(
                spec.name,
                spec.push,
                connect,
                clock=self.clock,
                emit=self.emit,
                jitter=self.jitter,
                connects=self._connects_of(spec, spec.push),
            )
            for spec in specs
            if spec.push and (connect := self._push_connect(spec, spec.push))
        ]
        return TickFailover(streams, instruments, clock=self.clock) if streams else None

    def raw_streams(self, specs: Sequence[ProviderSpec]) -> RawStreams | None:
        """Those of the first venue that has them; None where the settings switch them off."""
        for spec in specs:
            if spec.push and spec.push.raw and (connect := self._push_connect(spec, spec.push)):
                return RawStreams(
                    spec.name,
                    spec.push.raw,
                    connect,
                    connects=self._connects_of(spec, spec.push),
                    clock=self.clock,
                    emit=self.emit,
                    jitter=self.jitter,
                )
        return None

    def _push_connect(self, spec: ProviderSpec, feed: PushFeed) -> Connect | None:
        """None where the settings switch the stream off, or name other hosts but no stream: it may
        be another venue's."""
        settings = self.configuration.providers[spec.name]
        own = {url for plan in (spec.keyless, spec.keyed) if plan for url in plan.base_urls}
        is_foreign = settings.stream_url is None and not own.issuperset(settings.base_url)
        if not settings.enabled or settings.stream_url == "" or is_foreign:
            return None
        client = PushClient(self.clock, self.configuration.network)
        base_url = settings.stream_url or feed.base_url
        return lambda path: client.open(spec.adapter, base_url + path)

    def _connects_of(self, spec: ProviderSpec, feed: PushFeed) -> RateLimitGuard:
        """The limit of a venue's connects, which all streams of this process share.

        Each process of a cluster has an equal part: any of them may come to lead, or be an island,
        and venues count those of an address.
        """
        if spec.name not in self._connects:
            processes = self.processes
            limit = max(1, feed.connects.limit // processes)
            window = replace(feed.connects, limit=limit)
            self._connects[spec.name] = RateLimitGuard(self.clock, [window])
        return self._connects[spec.name]
