"""The stream: who reads what, one feed for each thing that is read, the same bytes for all.

It reads services and nothing else: what it shows is what REST shows, and what nobody reads is not
asked for.
"""

import asyncio
import logging
from collections.abc import Iterable

from api.edge.client_limits import UNLIMITED, ClientAccount
from api.stream import channels
from api.stream.channels import FeedKey, Place
from api.stream.commands import Command, Ping, Refused, Subscribe, Unsubscribe
from api.stream.feed import Feed
from api.stream.frames import HEARTBEAT_S, Frame, error, frame, heartbeat, hello, shutdown
from api.stream.outlets import Outlet
from api.stream.shares import AddressShares
from api.stream.subscriber import Counters, Subscriber
from api.stream.topics import Topic
from backend.errors import GatewayError, UnknownSymbol
from backend.gateway import Gateway
from backend.models.market import Coin
from backend.models.status import WebSocketStatus
from backend.services.ohlc import UNITS_PER_CALL

log = logging.getLogger("gateway")

MOST_TOPICS = 32
#: Each of these may cost a provider's call a refresh, whoever asked for it.
MOST_SERIES = 200
MOST_FRAME_BYTES = 64 * 1024
MESSAGES_PER_S = 20
#: Who lags and whose ticks come or go is looked after so often; who is stuck, so often.
LOOK_S, VISIT_S = 0.25, 1.0
#: So many readers are written to before others have their turn.
BATCH = 250
GOING_AWAY, POLICY, TOO_LARGE, TRY_LATER = 1001, 1008, 1009, 1013


class TooManyReaders(Exception):
    """As many as the settings allow are reading."""


class Broadcaster:
    """The stream's readers and feeds, for as long as the gateway lives."""

    def __init__(
        self, gateway: Gateway, *, most_clients: int, stuck_s: float, share: float = 1.0
    ) -> None:
        """`share` (0 to 1) of the places and of the candle series is one address's at most."""
        self._shares = AddressShares(most_clients, MOST_SERIES, share)
        self._gateway = gateway
        self._clock = gateway.clock
        self._most_clients = most_clients
        self._stuck_s = stuck_s
        self._subscribers: dict[Subscriber, None] = {}
        self._feeds: dict[FeedKey, Feed] = {}
        self._counters = Counters()
        self._is_closing = False
        self._next_visit = self._clock.monotonic() + VISIT_S
        self._next_heartbeat = self._clock.monotonic() + HEARTBEAT_S
        self._caretaker = asyncio.create_task(self._take_care(), name="stream caretaker")
        self._closing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Broadcaster {len(self._subscribers)} readers, {len(self._feeds)} feeds>"

    @property
    def limits(self) -> dict[str, float]:
        return {
            "clients": self._most_clients,
            "topics": MOST_TOPICS,
            "symbols": channels.MOST_ROWS,
            "series": MOST_SERIES,
            "clients_of_an_address": self._shares.places,
            "series_of_an_address": self._shares.series,
            "frame_bytes": MOST_FRAME_BYTES,
            "messages_per_second": MESSAGES_PER_S,
            "stuck_seconds": self._stuck_s,
        }

    def counters(self) -> WebSocketStatus:
        return WebSocketStatus(len(self._subscribers), self._counters.sent, self._counters.dropped)

    def join(self, outlet: Outlet, account: ClientAccount = UNLIMITED) -> Subscriber:
        """A new reader, who is greeted; its client pays for what it asks. Raises TooManyReaders."""
        if self._is_closing or len(self._subscribers) >= self._most_clients:
            raise TooManyReaders(f"{self._most_clients} readers are all that are allowed")
        if not self._shares.has_place(account.address):
            told = f"{self._shares.places} readers of one address are all that are allowed"
            raise TooManyReaders(told)
        self._shares.take_place(account.address)
        subscriber = Subscriber(outlet, self._clock, self._counters, account)
        self._subscribers[subscriber] = None
        subscriber.tell(hello(self.limits))
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Its topics go with it, and a feed with its last reader."""
        if subscriber in self._subscribers:
            del self._subscribers[subscriber]
            self._shares.free_place(subscriber.account.address)
        for topic in list(subscriber.topics):
            self._unsubscribe(subscriber, topic)

    async def aclose(self) -> None:
        """Tells everybody that it is over; nobody joins any more."""
        self._is_closing = True
        farewell = shutdown()
        for subscriber in list(self._subscribers):
            subscriber.tell(farewell)
            subscriber.close(GOING_AWAY, "the gateway stops")
        self._caretaker.cancel()
        feeds = [feed.aclose() for feed in self._feeds.values()]
        await asyncio.gather(self._caretaker, *feeds, *self._closing, return_exceptions=True)

    async def do(self, subscriber: Subscriber, command: Command) -> None:
        """What the client asked for, or the error that says why not."""
        try:
            match command:
                case Ping():
                    subscriber.tell(frame("pong", id=command.id))
                case Subscribe():
                    await self._subscribe(subscriber, command)
                case Unsubscribe():
                    self._unsubscribe_said(subscriber, command)
        except Refused as refusal:
            subscriber.tell(error(refusal.code, str(refusal), command.id))
        except GatewayError as problem:
            subscriber.tell(error(problem.code, _in_words(problem), command.id))
        except Exception:  # a bug of ours must not cost a reader the connection
            log.exception("a reader's %s failed", command.op)
            subscriber.tell(error("internal_error", "it is in the log", command.id))

    async def _subscribe(self, subscriber: Subscriber, command: Subscribe) -> None:
        """Snapshots come at once, or when there is something to show."""
        coins, wanted, warnings = await self._looked_up(command)
        if subscriber not in self._subscribers:
            return  # it left while the coins were looked up
        replaced = _replaced(subscriber, command)
        held = {topic.key for topic in subscriber.topics} - {topic.key for topic in replaced}
        keys = {place.key for place in wanted}
        self._refuse_too_many(held | keys, subscriber.account.address)
        new = [key for key in keys if _is_series(key) and key not in self._feeds]
        subscriber.account.charge(UNITS_PER_CALL * len(new))
        about: dict[str, object] = {"interval": command.interval} if command.interval else {}
        about |= {"warnings": warnings} if warnings else {}
        symbols = [coin.symbol for coin in coins] or None
        subscriber.tell(
            frame("subscribed", id=command.id, channel=command.channel, symbols=symbols, **about)
        )
        topics = [self._topic(place) for place in wanted]
        for topic in topics:
            if _is_series(topic.key) and topic not in subscriber.topics:
                self._shares.follow(subscriber.account.address, topic.key)
            topic.subscribers[subscriber] = None
            subscriber.present(topic)
        for topic in replaced:
            if topic not in topics:
                self._unsubscribe(subscriber, topic)

    async def foresee(
        self, commands: Iterable[Subscribe], account: ClientAccount = UNLIMITED
    ) -> None:
        """Whether a new reader could have all these. Raises GatewayError, Refused."""
        keys: set[FeedKey] = set()
        for command in commands:
            _, wanted, _ = await self._looked_up(command)
            keys |= {place.key for place in wanted}
        self._refuse_too_many(keys, account.address)

    async def _looked_up(
        self, command: Subscribe
    ) -> tuple[tuple[Coin, ...], list[Place], tuple[str, ...]]:
        """The coins that were named, each once, where they lead, and what their reader should know
        about that choice. Raises GatewayError."""
        coins: dict[str, Coin] = {}
        warnings: tuple[str, ...] = ()
        if command.symbols:
            market = (await self._gateway.market.latest()).data
            index = self._gateway.market.index(market)
            found = [index.resolve(symbol) for symbol in command.symbols]
            coins = {channels.coin_key(one.coin): one.coin for one in found}
            warnings = tuple(dict.fromkeys(note for one in found for note in one.warnings))
        named = tuple(coins.values())
        name, interval = command.channel, command.interval
        places = channels.places(self._gateway, self.counters, name, named, interval)
        return named, places, warnings

    def _refuse_too_many(self, wanted: set[FeedKey], address: str) -> None:
        if len(wanted) > MOST_TOPICS:
            raise Refused("too_many_topics", f"a client follows at most {MOST_TOPICS} topics")
        wanted_series = {key for key in wanted if _is_series(key)}
        series = {key for key in self._feeds if _is_series(key)}
        new = wanted_series - series
        if new and len(series) + len(new) > MOST_SERIES:
            raise Refused("too_many_topics", f"{MOST_SERIES} series are followed already")
        if not self._shares.has_room(address, wanted_series):
            told = f"one address follows at most {self._shares.series} series"
            raise Refused("too_many_topics", told)

    def _topic(self, place: Place) -> Topic:
        feed = self._feeds.get(place.key)
        if feed is None:
            feed = self._feeds[place.key] = Feed(
                place.key, place.make(), self._clock, self._publish
            )
        return feed.topic(place.view)

    def _unsubscribe_said(self, subscriber: Subscriber, command: Unsubscribe) -> None:
        if command.symbols and command.channel != "ohlc":
            told = f"{command.channel} is left as a whole, or subscribed to with other symbols"
            raise Refused("invalid_parameter", told)
        coins = self._known_coins(command.symbols or ())
        keys = {channels.coin_key(coin) for coin in coins}
        for topic in list(subscriber.topics):
            labels = topic.channel.labels
            is_meant = topic.channel.name == command.channel
            if labels and command.symbols:
                is_meant = is_meant and labels["id"] in keys
            if labels and command.interval:
                is_meant = is_meant and labels["interval"] == command.interval
            if is_meant:
                self._unsubscribe(subscriber, topic)
        symbols = [coin.symbol for coin in coins]
        about: dict[str, object] = {"symbols": symbols} if symbols else {}
        about |= {"interval": command.interval} if command.interval else {}
        subscriber.tell(frame("unsubscribed", id=command.id, channel=command.channel, **about))

    def _known_coins(self, names: Iterable[str]) -> list[Coin]:
        index = self._gateway.market.known_index
        found = [index.find(name) for name in names] if index else []
        return [resolution.coin for resolution in found if resolution]

    def _unsubscribe(self, subscriber: Subscriber, topic: Topic) -> None:
        if _is_series(topic.key) and topic in subscriber.topics:
            self._shares.unfollow(subscriber.account.address, topic.key)
        subscriber.forget(topic)
        topic.subscribers.pop(subscriber, None)
        feed = self._feeds.get(topic.key)
        if feed is None:
            return
        feed.drop_if_unread(topic)
        if feed.is_unread:
            del self._feeds[topic.key]
            closing = asyncio.create_task(feed.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _publish(self, topic: Topic, frames: list[Frame]) -> None:
        """The same frames to all that read the topic now."""
        readers = list(topic.subscribers)
        for start in range(0, len(readers), BATCH):
            batch = readers[start : start + BATCH]
            _offer(topic, frames, [one for one in batch if topic in one.topics])
            if start + BATCH < len(readers):
                await asyncio.sleep(0)

    async def _take_care(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self._look_after()
            except Exception:  # a bug of ours must not leave the others without care
                log.exception("the stream's caretaker stumbled")

    async def _look_after(self) -> None:
        for subscriber in [one for one in self._subscribers if one.lags]:
            subscriber.catch_up()
        for feed in list(self._feeds.values()):
            await feed.tell_flow()
        now = self._clock.monotonic()
        if now >= self._next_visit:
            self._next_visit = now + VISIT_S
            for subscriber in list(self._subscribers):
                subscriber.look_after(self._stuck_s)
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + HEARTBEAT_S
            beat = heartbeat(self._clock.now())
            for subscriber in self._subscribers:
                subscriber.tell_if_free(beat)


def _is_series(key: FeedKey) -> bool:
    """Candles: each series may cost a provider's call a refresh."""
    return key[0] == "ohlc"


def _replaced(subscriber: Subscriber, command: Subscribe) -> list[Topic]:
    """One view of a channel at a time: its frames do not say of which. Candles' frames do."""
    if command.channel == "ohlc":
        return []
    return [topic for topic in subscriber.topics if topic.channel.name == command.channel]


def _offer(topic: Topic, frames: Iterable[Frame], readers: Iterable[Subscriber]) -> None:
    for subscriber in readers:
        for told in frames:
            if not subscriber.offer(topic, told):
                break


def _in_words(problem: GatewayError) -> str:
    suggestions = problem.suggestions if isinstance(problem, UnknownSymbol) else ()
    return f"{problem}; did you mean {', '.join(suggestions)}?" if suggestions else str(problem)
