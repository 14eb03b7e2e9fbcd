"""Whether the reader of a connection takes what was written for it: bytes and time."""

import asyncio

from api.sockets import is_tcp, outgoing

#: In so many seconds a reader takes at least so many bytes, or all that waits for it.
STUCK_S, LEAST_BYTES = 30.0, 16 * 1024


class Unread:
    """To be looked at now and then: it compares with the last time."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        connection = transport.get_extra_info("socket")
        self._socket = connection if is_tcp(connection) else None
        #: Bytes in our buffer and in the kernel's, and all that the reader took, at the last look.
        self.waiting, self._taken = 0, 0
        #: What it had taken when its time began, how much it had to take, and when that was.
        self._mark, self._due, self._since = 0, 0, 0.0

    def __repr__(self) -> str:
        return f"<Unread {self.waiting} bytes>"

    def look(self, now: float) -> bool:
        """Whether the reader has taken anything since the last look, if there was anything."""
        waiting, taken = self._counted()
        rests = bool(waiting) and taken == self._taken
        if not waiting or not self._due or taken - self._mark >= self._due:
            self._mark, self._due, self._since = taken, min(waiting, LEAST_BYTES), now
        self.waiting, self._taken = waiting, taken
        return not rests

    def is_stuck(self, now: float) -> bool:
        """It had its time, by the last look."""
        return bool(self._due) and now - self._since >= STUCK_S

    def _counted(self) -> tuple[int, int]:
        waiting = self._transport.get_write_buffer_size()
        if self._socket is None:
            return waiting, -waiting
        kernel = outgoing(self._socket)
        waiting += kernel.waiting
        return waiting, -waiting if kernel.taken is None else kernel.taken
