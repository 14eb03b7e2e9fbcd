"""The send buffer of a TCP connection: its limits, and whether the client reads from it."""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from contextlib import suppress

#: A client that is not stalled reads this many bytes, or everything, in `stalled_s` seconds.
MIN_READ_BYTES = 16 * 1024
#: Position of `tcpi_bytes_acked` (64 bits) in `struct tcp_info` (linux/tcp.h).
_ACKED, _ACKED_END = 120, 128
#: `struct linger`: on, with a timeout of 0 s. Closing then sends a reset.
_LINGER_0 = struct.pack("ii", 1, 0)
#: Linux only: the kernel drops a connection whose peer acknowledges nothing for this time. It also
#: covers sockets that we have closed while data is still queued.
_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)


class ReadProgress:
    """Measures whether the client of one connection reads what was written to it.

    It compares the bytes that the client has acknowledged from one `update` to the next. The client
    is stalled when it reads less than MIN_READ_BYTES in `stalled_s` seconds.
    """

    def __init__(self, transport: asyncio.Transport, stalled_s: float) -> None:
        self._transport, self._stalled_s = transport, stalled_s
        self._socket = _tcp_socket(transport)
        #: At the last update: bytes in our buffer and the kernel's, and bytes acknowledged so far.
        self.unread, self._acked = 0, 0
        #: The current period: bytes acknowledged at its start, bytes to read in it, its start.
        self._start_acked, self._min_read, self._started_at = 0, 0, 0.0

    def update(self, now: float) -> bool:
        """False when bytes are unread and the client has read none since the last update."""
        unacked, acked = (0, None) if self._socket is None else send_queue(self._socket)
        unread = self._transport.get_write_buffer_size() + unacked
        acked = -unread if acked is None else acked
        reads = not unread or acked != self._acked
        if not unread or not self._min_read or acked - self._start_acked >= self._min_read:
            self._start_acked, self._started_at = acked, now
            self._min_read = min(unread, MIN_READ_BYTES)
        self.unread, self._acked = unread, acked
        return reads

    def is_stalled(self, now: float) -> bool:
        """Whether the client has read too little for `stalled_s` seconds, as of the last update."""
        return bool(self._min_read) and now - self._started_at >= self._stalled_s


def limit_send_buffer(transport: asyncio.Transport, max_bytes: int, unacked_s: float) -> None:
    """Limits the kernel's send buffer in bytes, and the time that data may stay unacknowledged.

    Linux doubles the size for its own bookkeeping. Does nothing for other than TCP sockets.
    """
    connection = _tcp_socket(transport)
    if connection is None:
        return
    with suppress(OSError, ValueError):  # the socket may be closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, max_bytes)
        if _USER_TIMEOUT is not None:
            connection.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, int(unacked_s * 1_000))


def reset(transport: asyncio.Transport) -> None:
    """Closes a connection with a reset. A plain abort would leave the unsent data in the kernel
    until the timeout of `limit_send_buffer`."""
    if connection := _tcp_socket(transport):
        with suppress(OSError, ValueError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
    transport.abort()


def send_queue(connection: socket.socket) -> tuple[int, int | None]:
    """Bytes that the peer has not acknowledged yet (zero for a closed connection), and bytes that
    it has acknowledged in total (None where the system does not report it)."""
    try:
        answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4)
        unacked = int.from_bytes(answer, sys.byteorder)
        if not unacked or _TCP_INFO is None:
            return unacked, None
        info = connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _ACKED_END)
    except (OSError, ValueError):
        return 0, None
    acked = info[_ACKED:]
    return unacked, int.from_bytes(acked, sys.byteorder) if len(info) == _ACKED_END else None


def _tcp_socket(transport: asyncio.Transport) -> socket.socket | None:
    connection: socket.socket | None = transport.get_extra_info("socket")
    is_tcp = connection and connection.family in (socket.AF_INET, socket.AF_INET6)
    return connection if is_tcp else None
