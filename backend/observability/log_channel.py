"""Finished log lines on their way from the workers to the supervisor, which alone writes them.

A line is one datagram, or several if it is long. All workers share one pair of sockets, so that
lines keep their order. A worker's log thread waits a moment while the pair is full, then drops the
line; the event loop never waits.
"""

import logging
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

from backend.observability.log_files import ACCESS, FILES

#: Where a line goes: standard output, or one of the files.
LOGS = ("", *FILES, ACCESS)
#: Largest part of a line in one datagram, in bytes: far below the smallest buffer of a system.
PART_BYTES = 32 * 1024
#: Largest line, in bytes; a note is sent in place of a larger one.
MAX_LINE_BYTES = 1024 * 1024
#: Longest wait for space in the pair, in seconds.
SEND_S = 1.0
#: The log's place in LOGS, whether the part begins and ends its line, the worker.
_HEADER = struct.Struct("!B??H")


class FinishedLine(logging.LogRecord):
    """A line that a worker has formatted and redacted; its name is that of its log."""

    def __init__(self, log: str, text: str) -> None:
        super().__init__(log, logging.INFO, "", 0, text, None, None)
        self.text = text


class LineSender:
    """A worker's end. `process` is the worker's number.

    While `is_starting`, lines that each worker's start has alike are dropped, warnings excepted.
    """

    def __init__(self, channel: socket.socket, process: int, *, is_starting: bool = False) -> None:
        # The kernel's own limit: with Python's, the pair would count as full at a quarter.
        limit = struct.pack("@ll", int(SEND_S), int(SEND_S % 1 * 1e6))
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self.channel, self.process, self.is_starting = channel, process, is_starting

    def __repr__(self) -> str:
        return f"<LineSender of worker {self.process}>"

    def accepts(self, record: logging.LogRecord) -> bool:
        is_of_start = record.name.startswith("uvicorn") or record.module == "gateway"
        return not (self.is_starting and is_of_start and record.levelno < logging.WARNING)

    def send(self, log: str, text: str) -> None:
        """Drops the line where the pair stays full, or the supervisor is gone."""
        line = text.encode(errors="backslashreplace")
        if len(line) > MAX_LINE_BYTES:
            note = '{"event":"log.line_too_long","bytes":%d,"process":%d}'
            line = (note % (len(line), self.process)).encode()
        place, end = LOGS.index(log), max(len(line), 1)
        with suppress(OSError):
            for start in range(0, end, PART_BYTES):
                header = (place, start == 0, start + PART_BYTES >= end, self.process)
                self.channel.send(_HEADER.pack(*header) + line[start : start + PART_BYTES])


class SendingHandler(logging.Handler):
    """Sends the lines of one log: standard output ("") or a file."""

    def __init__(self, sender: LineSender, log: str) -> None:
        super().__init__()
        self._sender, self._log = sender, log

    def emit(self, record: logging.LogRecord) -> None:
        self._sender.send(self._log, self.format(record))


def received_lines(channel: socket.socket) -> Iterator[FinishedLine]:
    """Waits for lines and yields them, until every worker's end is closed.

    A line of which a part was dropped is dropped.
    """
    begun: dict[int, bytes] = {}
    while datagram := channel.recv(_HEADER.size + PART_BYTES):
        place, begins, ends, process = _HEADER.unpack_from(datagram)
        before = b"" if begins else begun.pop(process, None)
        if before is None:
            continue
        line = before + datagram[_HEADER.size :]
        if ends:
            begun.pop(process, None)
            yield FinishedLine(LOGS[place], line.decode(errors="replace"))
        elif len(line) <= MAX_LINE_BYTES:
            begun[process] = line
