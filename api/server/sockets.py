"""The kernel's send buffer of a TCP connection: its size limit, its timeout and its content."""

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
#: Linux only: the kernel gives a connection up whose peer acknowledges nothing for this time. It
#: also covers sockets that we have closed while data is still queued.
_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)


class Outgoing(NamedTuple):
    """Bytes that the peer has not acknowledged yet, and bytes that it has acknowledged in total."""

    waiting: int
    taken: int | None  # None where the system does not report it


def is_tcp(connection: socket.socket | None) -> bool:
    return connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6)


def bound_sending(connection: socket.socket | None, buffer_bytes: int, untaken_s: float) -> None:
    """Limits the kernel's send buffer in bytes, and the time that data may stay unacknowledged.

    Linux doubles the size for its own bookkeeping. Does nothing for other than TCP sockets.
    """
    if connection is None or not is_tcp(connection):
        return
    with suppress(OSError, ValueError):  # the socket may be closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        if _USER_TIMEOUT is not None:
            connection.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, int(untaken_s * 1_000))


def reset(transport: asyncio.Transport) -> None:
    """Closes a connection with a reset. A plain abort would leave the unsent data in the kernel
    until the timeout of `bound_sending`."""
    connection = transport.get_extra_info("socket")
    if connection is not None and is_tcp(connection):
        with suppress(OSError, ValueError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()


def outgoing(connection: socket.socket) -> Outgoing:
    """The kernel's count; zero where it is unavailable or the connection is closed."""
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
