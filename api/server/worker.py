"""What a supervisor handed to this process, and this worker's messages to it."""

import re
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from backend.observability.log_channel import LineSender

#: Messages to the supervisor: the event loop runs; the worker serves; why it ends, as a line.
ALIVE, SERVES, LAST_LINE = b".", b"s", b"!"
#: A message of the supervisor: the process id of another worker, which died without a clean end.
DIED = b"d"
#: Longest message of either side, in bytes.
MESSAGE_BYTES = 4_096
_ARGUMENTS = re.compile(
    r"--worker=(\d{1,4}) --pair=(\d{1,9}) --lines=(\d{1,9}) --listening=(\d{1,9}(?:,\d{1,9})*)",
    re.ASCII,
)


def worker_arguments(index: int, pair: int, lines: int, listening: Sequence[int]) -> list[str]:
    """The arguments that make a process a worker: its number, and descriptors that it inherits."""
    sockets = ",".join(map(str, listening))
    return [f"--worker={index}", f"--pair={pair}", f"--lines={lines}", f"--listening={sockets}"]


@dataclass(frozen=True, slots=True)
class Worker:
    """What the supervisor handed to this process. Workers are numbered from 0."""

    index: int
    #: For messages to the supervisor. It ends when the supervisor does.
    pair: socket.socket
    #: Sends finished log lines. All workers log the same at their start: one is enough.
    lines: LineSender
    listening: list[socket.socket]

    @classmethod
    def of(cls, arguments: Sequence[str]) -> "Worker | None":
        """None unless a supervisor started this process: such arguments from anybody else come
        without the sockets."""
        found = _ARGUMENTS.fullmatch(" ".join(arguments[-4:]))
        if found is None:
            return None
        index, *descriptors = map(int, found.group(1, 2, 3))
        opened = _open_all([*descriptors, *map(int, found[4].split(","))])
        kinds = [(one.family, one.type) for one in opened[:2]]
        if kinds != [(socket.AF_UNIX, socket.SOCK_SEQPACKET)] * 2:
            for one in opened:
                one.detach()  # somebody else's
            return None
        lines = LineSender(opened[1], index, is_starting=index > 0)
        return cls(index, opened[0], lines, opened[2:])

    def serves(self) -> None:
        """Tells the supervisor that the worker answers requests."""
        self.lines.is_starting = False
        self._say(SERVES)

    def is_alive(self) -> None:
        """To be called by the event loop once a second; without it the supervisor kills it."""
        self._say(ALIVE)

    def says_last(self, line: str) -> None:
        """Tells the supervisor why this process ends, for the user."""
        self._say(LAST_LINE + line.encode(errors="replace"))

    def _say(self, message: bytes) -> None:
        with suppress(OSError):  # the pair is full, or the supervisor is gone
            self.pair.send(message, socket.MSG_DONTWAIT)

    def watch(self, when_alone: Callable[[], None], when_died: Callable[[int], None]) -> None:
        """Calls `when_died` with the process id of each other worker that dies without a clean
        end, and `when_alone` when the supervisor itself does.

        In a thread of its own: a loop that hangs would not notice.
        """
        waiting = threading.Thread(target=self._wait, args=(when_alone, when_died), daemon=True)
        waiting.start()

    def _wait(self, when_alone: Callable[[], None], when_died: Callable[[int], None]) -> None:
        with suppress(OSError):
            while message := self.pair.recv(MESSAGE_BYTES):
                if message.startswith(DIED):
                    when_died(int(message[1:]))
        when_alone()


def _open_all(descriptors: Sequence[int]) -> list[socket.socket]:
    """None at all if one of them is no socket."""
    opened: list[socket.socket] = []
    try:
        for descriptor in descriptors:
            opened.append(socket.socket(fileno=descriptor))  # noqa: PERF401 - for those before
    except OSError:
        for one in opened:
            one.detach()
        return []
    return opened
