"""The signals of a supervisor: it asks for them when it is ready, and each one wakes it."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType


class Signals:
    """SIGTERM and SIGINT ask for the end, SIGHUP for a rolling restart. SIGCHLD only wakes."""

    def __init__(self) -> None:
        self._asks_for_end = self._asks_for_restart = False

    def __repr__(self) -> str:
        return "<Signals>"

    def take_end(self) -> bool:
        """Whether the end was asked for since the last question."""
        asked, self._asks_for_end = self._asks_for_end, False
        return asked

    def take_restart(self) -> bool:
        asked, self._asks_for_restart = self._asks_for_restart, False
        return asked

    @contextmanager
    def handled(self) -> Iterator[socket.socket]:
        """A socket that is readable after a signal, to be read by `drain`. For the main thread.

        Afterwards the signals are ignored: the process ends.
        """
        woken, wakes = socket.socketpair()
        handlers = {
            signal.SIGTERM: self._handle_end,
            signal.SIGINT: self._handle_end,
            signal.SIGHUP: self._handle_restart,
            signal.SIGCHLD: lambda *_: None,
        }
        with woken, wakes:
            woken.setblocking(False)
            wakes.setblocking(False)
            wakeup_before = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            try:
                yield woken
            finally:
                signal.set_wakeup_fd(wakeup_before)
                for number in handlers:
                    signal.signal(number, signal.SIG_IGN)

    def _handle_end(self, _number: int, _frame: FrameType | None) -> None:
        self._asks_for_end = True

    def _handle_restart(self, _number: int, _frame: FrameType | None) -> None:
        self._asks_for_restart = True


def drain(woken: socket.socket) -> None:
    with suppress(BlockingIOError):
        while woken.recv(4_096):
            pass
