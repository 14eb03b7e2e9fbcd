"""The clients of Binance's streams: which of them reads what, and the same bytes for all."""

import asyncio
import logging
from collections.abc import Iterable
from math import inf

from api.edge.client_limits import ClientAccount
from api.facades.binance.streams.commands import invalid_request, shortened
from api.stream.address_limits import AddressLimits, ClientSlots, TooManyClients
from api.stream.feed import SUBSCRIBERS_PER_TURN, Counters
from api.stream.protocol import GOING_AWAY, POLICY_VIOLATION, Frame
from api.stream.sinks import Sink
from backend.clock import Clock
from backend.models.raw_streams import RawFrame
from backend.models.status import WebSocketStatus
from backend.models.ticks import TickState
from backend.orchestration.push.raw_streams import RawStreams
from backend.waiting import wait_until

log = logging.getLogger("gateway")

#: Streams of one client. Binance allows 1,024 in the one connection that all clients share.
MOST_STREAMS = 512
#: Unread bytes above which a client is closed: a frame left out would be a trade that is missing.
#: A frame of all tickers has about 0.4 MB.
MOST_UNREAD_BYTES = 1024 * 1024
#: A client with streams is closed after this time without a frame of the vendor, in seconds.
SILENCE_S = 60.0
#: Time after which a check that failed is repeated, in seconds.
RETRY_S = 1.0


class Client:
    """One connection. `is_combined`: its frames have the envelope with the stream's name."""

    def __init__(
        self, sink: Sink, account: ClientAccount, counters: Counters, *, is_combined: bool
    ) -> None:
        self.sink, self.account, self.is_combined = sink, account, is_combined
        self._counters = counters
        self.streams: dict[str, None] = {}
        #: When it began to wait for frames (monotonic seconds).
        self.waiting_since = 0.0

    def __repr__(self) -> str:
        return f"<Client {len(self.streams)} streams>"

    def send(self, frame: Frame) -> None:
        """Closes the client instead if it does not read."""
        sink = self.sink
        if sink.is_closing:
            return
        if sink.buffered() > MOST_UNREAD_BYTES:
            self._counters.dropped += 1
            sink.close(POLICY_VIOLATION, f"more than {MOST_UNREAD_BYTES} bytes are unread")
            return
        sink.write(frame)
        self._counters.sent += 1


class StreamHub:
    """Subscribes to each stream once, however many clients read it. It lives as long as the
    gateway; `aclose` ends it."""

    def __init__(
        self, streams: RawStreams, *, clock: Clock, slots: ClientSlots, share: float
    ) -> None:
        """`slots` are shared with the other streams. One address may follow at most `share`
        (0 to 1) of the vendor's streams."""
        self._streams = streams
        self._clock = clock
        self._slots = slots
        self._addresses = AddressLimits(streams.most_streams, share)
        self._clients: dict[Client, None] = {}
        self._readers: dict[str, dict[Client, None]] = {}
        self._counters = Counters()
        self._is_closing = False
        #: Set when a client begins to wait for frames.
        self._waits = asyncio.Event()
        self._tasks = [
            asyncio.create_task(streams.run(self._publish), name="raw streams"),
            asyncio.create_task(self._close_silent_clients(), name="raw streams' clients"),
        ]

    def __repr__(self) -> str:
        return f"<StreamHub {len(self._clients)} clients, {len(self._readers)} streams>"

    @property
    def upstream(self) -> tuple[str, TickState]:
        """The vendor, and the state of the connection to it."""
        return self._streams.provider, self._streams.state

    @property
    def stream_count(self) -> int:
        return len(self._readers)

    def counters(self) -> WebSocketStatus:
        """`dropped` counts clients that were closed because they did not read."""
        return WebSocketStatus(len(self._clients), self._counters.sent, self._counters.dropped)

    def acquire_slot(self, account: ClientAccount) -> None:
        """To be called before the handshake is accepted; `release_slot` ends it. Raises
        TooManyClients."""
        if self._is_closing:
            raise TooManyClients("the gateway is stopping")
        self._slots.acquire(account.address)

    def release_slot(self, account: ClientAccount) -> None:
        self._slots.release(account.address)

    def join(self, sink: Sink, account: ClientAccount, *, is_combined: bool) -> Client:
        client = Client(sink, account, self._counters, is_combined=is_combined)
        self._clients[client] = None
        if self._is_closing:
            sink.close(GOING_AWAY, "the gateway is stopping")
        return client

    def leave(self, client: Client) -> None:
        self.unsubscribe(client, tuple(client.streams))
        self._clients.pop(client, None)

    def subscribe(self, client: Client, streams: Iterable[str]) -> None:
        """All of them, or none. Raises InvalidCommand."""
        new = [stream for stream in streams if stream not in client.streams]
        self._check(client, new)
        if not client.streams:
            client.waiting_since = self._clock.monotonic()
            self._waits.set()
        for stream in new:
            client.streams[stream] = None
            self._addresses.follow(client.account.address, stream)
            readers = self._readers.setdefault(stream, {})
            if not readers:
                self._streams.subscribe(stream)
            readers[client] = None

    def unsubscribe(self, client: Client, streams: Iterable[str]) -> None:
        """Streams that the client does not have are ignored."""
        for stream in streams:
            if stream not in client.streams:
                continue
            del client.streams[stream]
            self._addresses.unfollow(client.account.address, stream)
            readers = self._readers[stream]
            del readers[client]
            if not readers:
                del self._readers[stream]
                self._streams.unsubscribe(stream)

    async def aclose(self) -> None:
        """Closes all clients; none can join any more."""
        self._is_closing = True
        for client in list(self._clients):
            client.sink.close(GOING_AWAY, "the gateway is stopping")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _check(self, client: Client, new: list[str]) -> None:
        unknown = next((one for one in new if not self._streams.is_stream(one)), None)
        if unknown is not None:
            name = shortened(unknown)
            example = "symbols are in lower case, like btcusdt@trade"
            raise invalid_request(f"{name} is not a stream of market data; {example}")
        added = sum(stream not in self._readers for stream in new)
        if len(client.streams) + len(new) > MOST_STREAMS:
            raise invalid_request(f"a client has at most {MOST_STREAMS} streams")
        if not self._addresses.allows(client.account.address, new):
            limit = self._addresses.most_of_address
            raise invalid_request(f"the clients of one address have at most {limit} streams")
        if added > self._streams.room:
            limit = self._streams.most_streams
            raise invalid_request(f"all clients together have at most {limit} streams")

    async def _publish(self, frame: RawFrame) -> None:
        # Each is encoded at its first use, then shared.
        raw, combined = Frame(frame.data, "raw"), Frame(frame.combined, "combined")
        for number, client in enumerate(list(self._readers.get(frame.stream, ())), start=1):
            if frame.stream in client.streams:  # it may have left during another client's turn
                client.send(combined if client.is_combined else raw)
            if number % SUBSCRIBERS_PER_TURN == 0:
                await asyncio.sleep(0)

    async def _close_silent_clients(self) -> None:
        while True:
            await wait_until(self._next_silence_at(), self._waits, self._clock)
            try:
                self._check_silence()
            except Exception:  # an unexpected error must not end the checks
                log.exception("the check of the raw streams' clients failed")
                await asyncio.sleep(RETRY_S)

    def _next_silence_at(self) -> float:
        """The earliest time at which a client may have waited too long; inf if none waits."""
        since = min((client.waiting_since for client in self._waiting()), default=inf)
        return max(since, self._streams.reached_at) + SILENCE_S

    def _check_silence(self) -> None:
        now, reached_at = self._clock.monotonic(), self._streams.reached_at
        for client in self._waiting():
            if now >= max(client.waiting_since, reached_at) + SILENCE_S:
                reason = f"no connection to {self._streams.provider} for {SILENCE_S:g} s"
                client.sink.close(GOING_AWAY, reason)

    def _waiting(self) -> list[Client]:
        return [one for one in self._clients if one.streams and not one.sink.is_closing]
