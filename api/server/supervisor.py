"""The supervisor of several workers that serve one listening socket.

It imports neither the application nor asyncio. SIGTERM and SIGINT end all workers; SIGHUP restarts
them one after the other, so that the others answer meanwhile.
"""

import logging
import os
import selectors
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from api.server.listening import log_ready
from api.server.rolling_restart import RollingRestart
from api.server.signals import Signals, drain
from api.server.worker_process import Slot, WorkerProcess
from backend.clock import Clock, SystemClock

#: The exit code of a worker with an invalid setting.
WRONG_SETTING = 2
#: Longest time between two looks at the workers, in seconds.
LOOK_S = 1.0
#: Workers that start at the same time on a single core.
MIN_STARTS = 2

log = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True)
class Times:
    """Time limits of a supervisor, in seconds."""

    #: For a worker to end after SIGTERM.
    stop_s: float = 5.0
    #: For a sign of life of a worker's event loop, which sends one a second.
    silence_s: float = 10.0
    #: For a worker to serve.
    start_s: float = 60.0
    #: Before a worker that ended is started again; the last for all further times.
    restart_s: tuple[float, ...] = (0.2, 1.0, 5.0, 15.0)
    #: After so long a service the first of these applies again.
    steady_s: float = 60.0


class Supervisor:
    """Keeps `workers` processes running, until a signal or an invalid setting ends all.

    `command` starts a worker, `lines` is the socket for its log lines. A worker that dies without a
    clean end cannot give back what it shares with others: those are told its process id.
    """

    def __init__(
        self,
        command: Sequence[str],
        workers: int,
        listening: Sequence[socket.socket],
        lines: socket.socket,
        *,
        times: Times | None = None,
        clock: Clock | None = None,
        most_starts: int | None = None,
        url: str = "",
    ) -> None:
        """`most_starts` workers start at the same time; None: as many as there are cores. `url` is
        the address to open, for the log."""
        self._url = url
        self._command, self._listening, self._lines = command, listening, lines
        self._times, self._clock = times or Times(), clock or SystemClock()
        self._most_starts = most_starts or max(MIN_STARTS, os.cpu_count() or 0)
        self._slots = [Slot(index) for index in range(workers)]
        self._restart = RollingRestart(self._slots)
        self._has_announced = False
        self._signals = Signals()
        self._is_ending = False
        self._exit_code = 0
        self._selector = selectors.DefaultSelector()
        self._looked_at = self._clock.monotonic()

    def __repr__(self) -> str:
        return f"<Supervisor of {len(self._slots)}>"

    def run(self) -> int:
        """Runs the workers in the main thread, until all have ended; gives the exit code."""
        with self._signals.handled() as woken, self._selector:
            self._selector.register(woken, selectors.EVENT_READ, partial(_drain, woken))
            self._look()
            while not self._is_ending or any(slot.process for slot in self._slots):
                self._wait()
                self._look()
        return self._exit_code

    def _wait(self) -> None:
        now = self._clock.monotonic()
        due = [slot.due_at - now for slot in self._slots if not slot.process]
        due = due if self._may_start() else []
        timeout_s = max(0.0, min([LOOK_S, *due, *self._seconds_left(now)]))
        for key, _ in self._selector.select(timeout_s):
            if not key.data(self._clock.monotonic()):
                self._selector.unregister(key.fileobj)

    def _seconds_left(self, now: float) -> Iterator[float]:
        for slot in self._slots:
            if slot.process and not slot.is_killed:
                yield self._deadline(slot.process) - now

    def _deadline(self, process: WorkerProcess) -> float:
        """When the process is killed unless it is heard or has ended."""
        if process.ends_by is not None:
            return process.ends_by
        is_starting = process.serving_since is None
        return process.heard_at + (self._times.start_s if is_starting else self._times.silence_s)

    def _look(self) -> None:
        """Does what is due now."""
        now = self._clock.monotonic()
        if now - self._looked_at > 2 * LOOK_S:
            self._excuse_silence(now)
        self._looked_at = now
        for slot in self._slots:
            if slot.process is not None:
                self._look_at(slot, slot.process, now)
        if self._signals.take_end() and not self._is_ending:
            self._end_all(now)
        if not self._is_ending:
            self._end_old(now)
            self._start_due(now)
            self._announce()

    def _may_start(self) -> bool:
        """A start takes a second of a core: started all at once, none would serve in time."""
        starts = [one for one in self._slots if one.process and not one.process.serving_since]
        return not self._is_ending and len(starts) < self._most_starts

    def _excuse_silence(self, now: float) -> None:
        """This process was stopped itself (`docker pause`), probably with its workers."""
        for slot in self._slots:
            if slot.process is not None:
                slot.process.heard_at = now

    def _look_at(self, slot: Slot, process: WorkerProcess, now: float) -> None:
        code = process.exit_code()
        if code is not None:
            process.read(now)  # its last words
            self._note_end(slot, process, code, now)
        elif not slot.is_killed and self._deadline(process) <= now:
            what = "shows no sign of life" if process.ends_by is None else "does not end"
            log.warning("%s %s and is killed", str(slot), what)  # it is formatted later
            slot.is_killed = True
            process.kill()

    # One worker

    def _start(self, slot: Slot, now: float) -> None:
        try:
            process = WorkerProcess(slot.index, self._command, self._lines, self._listening, now)
        except OSError as error:
            log.error("worker %d cannot be started: %s", slot.index, error.strerror)
            self._delay(slot, now)
            return
        slot.process, slot.is_killed = process, False
        self._selector.register(process.pair, selectors.EVENT_READ, process.read)

    def _note_end(self, slot: Slot, process: WorkerProcess, code: int, now: float) -> None:
        name = str(slot)
        with suppress(KeyError):  # its end was noticed before
            self._selector.unregister(process.pair)
        process.pair.close()
        slot.process, slot.due_at = None, now
        was_told = process.ends_by is not None
        if code != 0 and not (was_told and code == -signal.SIGTERM):  # that was during its start
            self._tell_of_death(process.pid)
        if self._is_ending or was_told:
            return
        if code == WRONG_SETTING and not any(one.is_serving for one in self._slots):
            sys.stderr.write(f"{process.last_line or f'{name} ended with code {code}'}\n")
            self._exit_code = code
            self._end_all(now)
            return
        if process.serving_since and now - process.serving_since >= self._times.steady_s:
            slot.failures = 0
        delay_s = self._delay(slot, now)
        why = process.last_line or _end_of(code)
        log.warning("%s ended: %s; it is started again in %.1f s", name, why, delay_s)

    def _tell_of_death(self, pid: int) -> None:
        for slot in self._slots:
            if slot.process is not None:
                slot.process.tell_of_death(pid)

    def _delay(self, slot: Slot, now: float) -> float:
        delays = self._times.restart_s
        delay_s = delays[min(slot.failures, len(delays) - 1)]
        slot.failures += 1
        slot.due_at = now + delay_s
        return delay_s

    # All workers

    def _end_old(self, now: float) -> None:
        if self._signals.take_restart():
            self._restart.begin()
        if old := self._restart.next_to_end():
            old.terminate(now + self._times.stop_s)

    def _start_due(self, now: float) -> None:
        for slot in self._slots:
            if slot.process is None and slot.due_at <= now and self._may_start():
                self._start(slot, now)

    def _end_all(self, now: float) -> None:
        self._is_ending = True
        for slot in self._slots:
            if slot.process is not None:
                slot.process.terminate(now + self._times.stop_s)

    def _announce(self) -> None:
        if not self._has_announced and all(slot.is_serving for slot in self._slots):
            self._has_announced = True
            log.info("all %d workers serve", len(self._slots))
            log_ready(self._url)


def _end_of(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _drain(woken: socket.socket, _now: float) -> bool:
    drain(woken)
    return True
