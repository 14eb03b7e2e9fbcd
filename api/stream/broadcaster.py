"""The stream's clients and feeds: one feed for each channel in use, the same bytes for all.

It reads the services only: clients see what REST answers, and a channel without subscribers is
not requested.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from api.edge.client_limits import UNLIMITED, ClientAccount
from api.stream import protocol
from api.stream.address_limits import AddressLimits, ClientSlots, TooManyClients
from api.stream.channels import Channel, ChannelKey, Channels, Coins
from api.stream.commands import Command, CommandError, Ping, Subscribe, Unsubscribe
from api.stream.feed import SUBSCRIBERS_PER_TURN, Counters, Feed, Subscriber
from api.stream.protocol import HEARTBEAT_S, StreamTimes, error, frame
from api.stream.sinks import Sink
from api.stream.topics import Topic
from backend.errors import GatewayError, UnknownSymbol
from backend.gateway import Gateway
from backend.models.status import WebSocketStatus
from backend.services.candles.service import UNITS_PER_CALL
from backend.waiting import wait_until

log = logging.getLogger("gateway")

#: Channels whose frames name what they are of, so that a client may follow several.
WITH_LABELS = ("ohlc", "gas")


class Broadcaster:
    """Connects clients to feeds. It lives as long as the gateway; `aclose` ends it."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        slots: ClientSlots,
        stuck_s: float,
        share: float,
        times: StreamTimes,
    ) -> None:
        """A client that reads nothing for `stuck_s` seconds is closed. `share`: AddressLimits."""
        self.times = times
        self._slots = slots
        self._series = AddressLimits(protocol.MAX_SERIES, share)
        #: Feeds of candles.
        self._series_count = 0
        self._channels = Channels(gateway, self.counters)
        self._clock = gateway.clock
        self._stuck_s = stuck_s
        self._subscribers: dict[Subscriber, None] = {}
        #: Set when there may be something to check.
        self._woken = asyncio.Event()
        #: Those that lag or close.
        self._watched: dict[Subscriber, None] = _Watched(self._woken.set)
        self._feeds: dict[ChannelKey, Feed] = {}
        self._counters = Counters()
        self._is_closing = False
        #: Whether a feed may have begun or ceased to have ticks since the last check.
        self._has_flow_changed = False
        gateway.live.note_flow_changes(self._note_flow)
        self._checked_at = float("-inf")
        self._next_stuck_check = self._clock.monotonic() + times.check_s
        self._next_heartbeat = self._clock.monotonic() + HEARTBEAT_S
        self._maintenance = asyncio.create_task(self._maintain(), name="stream maintenance")
        self._closing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Broadcaster {len(self._subscribers)} clients, {len(self._feeds)} feeds>"

    @property
    def limits(self) -> dict[str, float]:
        return {
            "clients": self._slots.most,
            "topics": protocol.MAX_TOPICS,
            "symbols": protocol.MAX_ROWS,
            "series": protocol.MAX_SERIES,
            "clients_of_an_address": self._slots.most_of_address,
            "series_of_an_address": self._series.most_of_address,
            "frame_bytes": protocol.MAX_FRAME_BYTES,
            "messages_per_second": protocol.MESSAGES_PER_S,
            "stuck_seconds": self._stuck_s,
        }

    def counters(self) -> WebSocketStatus:
        return WebSocketStatus(len(self._subscribers), self._counters.sent, self._counters.dropped)

    def join(self, sink: Sink, account: ClientAccount = UNLIMITED) -> Subscriber:
        """Adds a client and sends `hello`. `account` pays for its commands. Raises
        TooManyClients."""
        if self._is_closing:
            raise TooManyClients("the gateway is stopping")
        self._slots.acquire(account.address)
        subscriber = Subscriber(sink, self._clock, self._counters, account, self._watched)
        self._subscribers[subscriber] = None
        greeting = {"heartbeat_seconds": HEARTBEAT_S, "channels": protocol.CHANNELS}
        subscriber.send(frame("hello", protocol=protocol.PROTOCOL, **greeting, limits=self.limits))
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        if subscriber in self._subscribers:
            del self._subscribers[subscriber]
            subscriber.leave()
            self._slots.release(subscriber.account.address)
        for topic in list(subscriber.topics):
            self._unfollow(subscriber, topic)

    async def aclose(self) -> None:
        """Sends `shutdown` to all clients and closes them; none can join any more."""
        self._is_closing = True
        notice = frame("shutdown", reconnect_after_ms=protocol.RECONNECT_AFTER_MS)
        for subscriber in list(self._subscribers):
            subscriber.send(notice)
            subscriber.close(protocol.GOING_AWAY, "the gateway is stopping")
        self._maintenance.cancel()
        feeds = [feed.aclose() for feed in self._feeds.values()]
        await asyncio.gather(self._maintenance, *feeds, *self._closing, return_exceptions=True)

    async def execute(self, subscriber: Subscriber, command: Command) -> None:
        """Executes a client's command, or sends it the error."""
        try:
            match command:
                case Ping():
                    subscriber.send(frame("pong", id=command.id))
                case Subscribe():
                    await self._subscribe(subscriber, command)
                case Unsubscribe():
                    self._unsubscribe(subscriber, command)
        except CommandError as rejection:
            subscriber.send(error(rejection.code, str(rejection), command.id))
        except GatewayError as problem:
            names = problem.suggestions if isinstance(problem, UnknownSymbol) else ()
            hint = f"; did you mean {', '.join(names)}?" if names else ""
            subscriber.send(error(problem.code, f"{problem}{hint}", command.id))
        except Exception:  # an unexpected error must not end the connection
            log.exception("a stream client's %s failed", command.op)
            message = "internal error; see the server log"
            subscriber.send(error("internal_error", message, command.id))

    async def validate(self, commands: Iterable[Subscribe], account: ClientAccount) -> None:
        """Checks whether a new client could have these. Raises GatewayError, CommandError."""
        keys: set[ChannelKey] = set()
        for command in commands:
            coins, _ = await self._channels.resolve(command.symbols or ())
            wanted = self._channels.subscriptions(command, coins)
            keys |= {channel.key for channel, _ in wanted}
        self._check_limits(keys, account.address)

    async def _subscribe(self, subscriber: Subscriber, command: Subscribe) -> None:
        """Replies, then sends snapshots now or as soon as there is content."""
        coins, warnings = await self._channels.resolve(command.symbols or ())
        if subscriber not in self._subscribers:
            return  # it left meanwhile
        wanted = self._channels.subscriptions(command, coins)
        # A client has one topic of a channel whose frames do not name what they are of.
        name = "" if command.channel in WITH_LABELS else command.channel
        replaced = [topic for topic in subscriber.topics if topic.channel.name == name]
        kept = {topic.channel.key for topic in subscriber.topics if topic not in replaced}
        keys = {channel.key for channel, _ in wanted}
        self._check_limits(kept | keys, subscriber.account.address)
        new = [key for key in keys if _is_series(key) and key not in self._feeds]
        subscriber.account.charge(UNITS_PER_CALL * len(new))
        fields: dict[str, object] = {"symbols": [coin.symbol for coin in coins] or None}
        fields |= {"interval": command.interval} if command.interval else {}
        fields |= wanted[0][0].labels if command.channel == "gas" else {}
        fields |= {"warnings": warnings} if warnings else {}
        subscriber.send(frame("subscribed", id=command.id, channel=command.channel, **fields))
        topics = [self._follow(subscriber, *one) for one in wanted]
        for topic in replaced:
            if topic not in topics:
                self._unfollow(subscriber, topic)

    def _check_limits(self, wanted: set[ChannelKey], address: str) -> None:
        wanted_series = {key for key in wanted if _is_series(key)}
        new = sum(key not in self._feeds for key in wanted_series)
        if len(wanted) > protocol.MAX_TOPICS:
            limit = f"a client follows at most {protocol.MAX_TOPICS} topics"
        elif new and self._series_count + new > protocol.MAX_SERIES:
            limit = f"all clients together follow at most {protocol.MAX_SERIES} series"
        elif not self._series.allows(address, wanted_series):
            limit = f"one address follows at most {self._series.most_of_address} series"
        else:
            return
        raise CommandError("too_many_topics", limit)

    def _unsubscribe(self, subscriber: Subscriber, command: Unsubscribe) -> None:
        if command.symbols and command.channel != "ohlc":
            problem = f"unsubscribe {command.channel} as a whole, or subscribe with other symbols"
            raise CommandError("invalid_parameter", problem)
        coins = self._channels.known_coins(command.symbols or ())
        keys = {coin.key for coin in coins}
        chosen = {"interval": command.interval, "chain": command.chain}
        named = {name: value for name, value in chosen.items() if value}
        for topic in list(subscriber.topics):
            labels = topic.channel.labels
            has_coin = not command.symbols or labels.get("id") in keys
            is_chosen = has_coin and all(
                labels.get(name, one) == one for name, one in named.items()
            )
            if topic.channel.name == command.channel and is_chosen:
                self._unfollow(subscriber, topic)
        fields: dict[str, object] = {"symbols": [coin.symbol for coin in coins]} if coins else {}
        fields |= named
        subscriber.send(frame("unsubscribed", id=command.id, channel=command.channel, **fields))

    def _follow(self, subscriber: Subscriber, channel: Channel, coins: Coins) -> Topic:
        key = channel.key
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = Feed(channel, self._clock)
            self._series_count += _is_series(key)
        topic = feed.topic(coins)
        if _is_series(key) and topic not in subscriber.topics:
            self._series.follow(subscriber.account.address, key)
        feed.subscribe(subscriber, topic)
        return topic

    def _unfollow(self, subscriber: Subscriber, topic: Topic) -> None:
        key = topic.channel.key
        if _is_series(key):
            self._series.unfollow(subscriber.account.address, key)
        subscriber.remove_topic(topic)
        feed = self._feeds[key]
        feed.unsubscribe(subscriber, topic)
        if not feed.has_subscribers:
            del self._feeds[key]
            self._series_count -= _is_series(key)
            closing = asyncio.create_task(feed.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _maintain(self) -> None:
        """Checks only what may have changed: waking the process costs more than a check."""
        while True:
            while self._clock.monotonic() < (due := self._next_check_at()):
                await wait_until(due, self._woken, self._clock)
            self._checked_at = self._clock.monotonic()
            try:
                await self._check_clients()
            except Exception:  # an unexpected error must not end the checks
                log.exception("the stream's maintenance failed")
                await asyncio.sleep(self.times.check_s)

    def _next_check_at(self) -> float:
        times, at = self.times, self._next_heartbeat
        if self._has_flow_changed:
            at = min(at, self._checked_at + times.check_s)
        return min(at, self._checked_at + times.lag_check_s) if self._watched else at

    def _note_flow(self) -> None:
        self._has_flow_changed = True
        self._woken.set()

    async def _check_clients(self) -> None:
        for subscriber in list(self._watched):
            subscriber.check()
        if self._has_flow_changed:
            self._has_flow_changed = False
            for feed in list(self._feeds.values()):
                await feed.check_flow()
        now = self._clock.monotonic()
        if now >= self._next_stuck_check:
            self._next_stuck_check = now + self.times.check_s
            for subscriber in list(self._watched):
                subscriber.close_if_stuck(self._stuck_s)
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + HEARTBEAT_S
            await self._send_heartbeats()

    async def _send_heartbeats(self) -> None:
        """In turns, as updates are published: 5,000 writes take 50 ms."""
        beat = frame("heartbeat", time=self._clock.now())
        subscribers = list(self._subscribers)
        for start in range(0, len(subscribers), SUBSCRIBERS_PER_TURN):
            for subscriber in subscribers[start : start + SUBSCRIBERS_PER_TURN]:
                if subscriber in self._subscribers:
                    subscriber.send_heartbeat(beat)
            await asyncio.sleep(0)


class _Watched(dict[Subscriber, None]):
    """`wake` is called when one is added."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake

    def __setitem__(self, subscriber: Subscriber, value: None) -> None:
        super().__setitem__(subscriber, value)
        self._wake()


def _is_series(key: ChannelKey) -> bool:
    return key[0] == "ohlc"
