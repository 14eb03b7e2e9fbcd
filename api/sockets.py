"""What the kernel holds for the peer of a TCP connection: its bounds, and how much it is now."""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from contextlib import suppress
from typing import NamedTuple

#: Of `struct tcp_info` (linux/tcp.h): `tcpi_bytes_acked`, 64 bits.
_ACKED, _ACKED_END = 120, 128
#: `struct linger`: on, for no time.
_AT_ONCE = struct.pack("ii", 1, 0)
#: Linux only: so long may sent bytes stay untaken until the kernel gives the connection up. It
#: holds for a connection that is closed already, too: nobody else looks after that one.
_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)


class Outgoing(NamedTuple):
    """Bytes that the peer's kernel has not acknowledged, and all that it ever has."""

    waiting: int
    taken: int | None  # None: this system does not say


def is_tcp(connection: socket.socket | None) -> bool:
    return connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6)


def bound_sending(connection: socket.socket | None, buffer_bytes: int, untaken_s: float) -> None:
    """At most about so many bytes wait in the kernel, and none longer than so many seconds.

    Linux doubles the bytes, for its own book-keeping. What is no TCP connection stays as it is.
    """
    if connection is None or not is_tcp(connection):
        return
    with suppress(OSError, ValueError):  # it may be gone already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        if _USER_TIMEOUT is not None:
            connection.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, int(untaken_s * 1_000))


def reset(transport: asyncio.Transport) -> None:
    """Ends a connection and forgets what waits for its peer: after a mere abort the kernel would
    go on to offer it, for as long as `bound_sending` lets it."""
    connection = transport.get_extra_info("socket")
    if connection is not None and is_tcp(connection):
        with suppress(OSError, ValueError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()


def outgoing(connection: socket.socket) -> Outgoing:
    """As the kernel counts; nothing waits where it does not tell, or the connection is gone."""
    try:
        told = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4)
        waiting = int.from_bytes(told, sys.byteorder)
        if not waiting or _TCP_INFO is None:
            return Outgoing(waiting, None)
        info = connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _ACKED_END)
    except (OSError, ValueError):
        return Outgoing(0, None)
    return Outgoing(waiting, _acked(info))


def _acked(info: bytes) -> int | None:
    if len(info) < _ACKED_END:
        return None
    (acked,) = struct.unpack_from("=Q", info, _ACKED)
    return int(acked)
