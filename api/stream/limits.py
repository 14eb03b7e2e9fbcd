"""Limits, times and close codes of the stream, and the limits of one client address."""

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from api.edge.client_limits import UNKNOWN

#: Topics of one client.
MAX_TOPICS = 32
#: Candle series of all clients together: each may cost one provider call per refresh.
MAX_SERIES = 200
#: Rows of a channel, and symbols of one command.
MAX_ROWS = 250
#: Largest message of a client, in bytes.
MAX_FRAME_BYTES = 64 * 1024
MESSAGES_PER_S = 20
#: Consecutive messages over the rate limit after which the connection is closed.
MAX_REJECTED = 200
#: Bytes buffered for one client above which it is lagging: it gets no updates until it has read.
#: A client of every channel receives snapshots of about this size at the start.
MAX_BUFFERED_BYTES = 256 * 1024
#: Bytes buffered for one client above which its connection is aborted, for example if it sends
#: commands and never reads the replies.
ABORT_BUFFERED_BYTES = 1024 * 1024

# Close codes (RFC 6455, 7.4.1, and the IANA registry); 4401 is from the private range.
GOING_AWAY, POLICY_VIOLATION, MESSAGE_TOO_BIG, TRY_AGAIN_LATER = 1001, 1008, 1009, 1013
UNAUTHORIZED = 4401


@dataclass(frozen=True)
class StreamTimes:
    """Intervals and time-outs of the stream, in seconds."""

    #: Interval of the checks for clients that have caught up and for ticks that begin or end.
    lag_check_s: float = 0.25
    #: Interval of the check for stuck clients.
    stuck_check_s: float = 1.0
    #: Interval at which a client with a full buffer is polled: a transport has no event for it.
    drain_poll_s: float = 0.1
    #: Time-out for the first message, which carries the key of a client that sent no header.
    auth_s: float = 5.0
    #: Time in which a queue must be written out once it is closed.
    drain_s: float = 2.0


class AddressLimits:
    """Counts clients and candle series for each client address. An unknown address has no limit
    of its own. An address without clients and series uses no memory."""

    def __init__(self, max_clients: int, max_series: int, share: float) -> None:
        """One address gets at most `share` (0 to 1) of each maximum, and at least one."""
        self.clients = max(1, int(max_clients * share))
        self.series = max(1, int(max_series * share))
        self._clients: Counter[str] = Counter()
        #: By address and series: the number of its clients that follow the series.
        self._followers: dict[str, Counter[Hashable]] = {}

    def __repr__(self) -> str:
        return f"<AddressLimits {len(self._clients)} addresses>"

    def allows_client(self, address: str) -> bool:
        return address == UNKNOWN or self._clients[address] < self.clients

    def add_client(self, address: str) -> None:
        self._clients[address] += 1

    def remove_client(self, address: str) -> None:
        self._clients[address] -= 1
        if self._clients[address] <= 0:
            del self._clients[address]

    def allows_series(self, address: str, wanted: Iterable[Hashable]) -> bool:
        """True if the address may follow all of `wanted` in addition to its present series."""
        followed = self._followers.get(address, Counter())
        return address == UNKNOWN or len(followed.keys() | set(wanted)) <= self.series

    def follow(self, address: str, series: Hashable) -> None:
        self._followers.setdefault(address, Counter())[series] += 1

    def unfollow(self, address: str, series: Hashable) -> None:
        followed = self._followers[address]
        followed[series] -= 1
        if followed[series] <= 0:
            del followed[series]
        if not followed:
            del self._followers[address]
