"""Measures whether the client of one connection reads what was written to it."""

import asyncio

from api.server.sockets import is_tcp, outgoing

#: Within STUCK_S seconds a client reads LEAST_BYTES bytes, or all that waits for it.
STUCK_S, LEAST_BYTES = 30.0, 16 * 1024


class Unread:
    """Compares the bytes that the client has acknowledged from one call of `look` to the next."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        connection = transport.get_extra_info("socket")
        self._socket = connection if is_tcp(connection) else None
        #: At the last look: bytes in our buffer and the kernel's, and bytes acknowledged so far.
        self.waiting, self._taken = 0, 0
        #: Start of the current period: bytes acknowledged then, bytes to be read in it, its time.
        self._mark, self._due, self._since = 0, 0, 0.0

    def __repr__(self) -> str:
        return f"<Unread {self.waiting} bytes>"

    def look(self, now: float) -> bool:
        """False when bytes wait and the client has read none since the last look."""
        waiting, taken = self._counted()
        rests = bool(waiting) and taken == self._taken
        if not waiting or not self._due or taken - self._mark >= self._due:
            self._mark, self._due, self._since = taken, min(waiting, LEAST_BYTES), now
        self.waiting, self._taken = waiting, taken
        return not rests

    def is_stuck(self, now: float) -> bool:
        """The client has read too little for STUCK_S seconds, as of the last look."""
        return bool(self._due) and now - self._since >= STUCK_S

    def _counted(self) -> tuple[int, int]:
        waiting = self._transport.get_write_buffer_size()
        if self._socket is None:
            return waiting, -waiting
        kernel = outgoing(self._socket)
        waiting += kernel.waiting
        return waiting, -waiting if kernel.taken is None else kernel.taken
