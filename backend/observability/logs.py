"""Where logs go: three JSON-lines files of the contract, and plain lines to standard output.

Nothing is written on the event loop: records go into a bounded queue, a thread writes them. A
file that cannot be written costs a warning, never an answer. A record is one line, whatever texts
of providers and readers stand in it (one_line.py); only our own tracebacks have several.
"""

import errno
import logging
import os
import queue
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path
from typing import TextIO

from backend.observability.event_log import CONSOLE, FILES
from backend.observability.one_line import OneLineFormatter
from backend.observability.redaction import RedactingFormatter, Redactor

#: They tell addresses and headers of whom we call.
WIRE_LOGGERS = ("httpx", "httpcore", "websockets")
FILE_BYTES, FILE_BACKUPS = 10 * 1024 * 1024, 5
#: Records waiting for the writing thread; more are dropped rather than held.
MOST_WAITING = 10_000
#: The last records are waited for so long, twice.
STOP_S = 1.0
NOT_A_FILE = "it is no regular file"
LINE = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"


class DroppingQueueHandler(QueueHandler):
    """Hands records on untouched, and drops them when the writer does not keep up."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        with suppress(queue.Full):
            self.queue.put_nowait(record)


class BoundedQueueListener(QueueListener):
    """Its thread outlives whatever a handler raises, and is not waited for without end."""

    #: After `stop`: the thread still holds a handler.
    is_stuck = False

    def handle(self, record: logging.LogRecord) -> None:
        for handler in self.handlers:
            with suppress(Exception):  # one that fails costs neither the others nor the thread
                handler.handle(record)

    def stop(self) -> None:
        """Ends after what waits is written; a writer that hangs is left behind after STOP_S."""
        with suppress(queue.Full):
            self.queue.put(self._sentinel, timeout=STOP_S)  # type: ignore[attr-defined] # not in typeshed
        if self._thread:
            self._thread.join(STOP_S)
            self.is_stuck = self._thread.is_alive()
            self._thread = None


class QuietFileHandler(RotatingFileHandler):
    """Says once on standard error that it cannot write, then keeps silent until it can.

    A file that somebody has taken away, its folder too, is made anew; one that was moved, or has
    something else in its place, is not written any longer. Only regular files are written: a named
    pipe would keep us waiting for its reader.
    """

    is_failing = False

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
        descriptor = os.open(self.baseFilename, flags | os.O_CLOEXEC, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, NOT_A_FILE)
            return open(descriptor, "a", encoding=self.encoding, errors=self.errors)
        except BaseException:
            os.close(descriptor)
            raise

    def shouldRollover(self, record: logging.LogRecord) -> int:  # noqa: N802 - logging's name
        if self.stream and not self._is_in_place():
            self.stream.close()
            self.stream = None
        if self.stream is None:
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            self.stream = self._open()
        return super().shouldRollover(record)

    def _is_in_place(self) -> bool:
        """What stands under the name is what is written."""
        assert self.stream
        try:
            return os.path.samestat(os.stat(self.baseFilename), os.fstat(self.stream.fileno()))
        except OSError:
            return False

    def emit(self, record: logging.LogRecord) -> None:
        self._failed_now = False
        super().emit(record)
        self.is_failing = self._failed_now

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        self._failed_now = True
        if not self.is_failing:
            with suppress(OSError, ValueError):  # it may stand on the same full disk
                print(f"log file {Path(self.baseFilename).name} cannot be written", file=sys.stderr)

    def try_to_open(self) -> str | None:
        """Why it cannot be written now, which is then told once by whoever asked; else None."""
        try:
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            self.stream = self._open()
        except (OSError, ValueError) as error:
            self.is_failing = True
            is_pipe = getattr(error, "errno", None) == errno.ENXIO  # one that nobody reads
            return NOT_A_FILE if is_pipe else getattr(error, "strerror", "it is no name of a file")
        return None


class QuietStreamHandler(logging.StreamHandler[TextIO]):
    """Never prints a record that failed: logging's own way shows its arguments unredacted."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        pass


@contextmanager
def open_logs(folder: Path, level: str, redact: Redactor) -> Iterator[None]:
    """Routes all logging of the process through one queue, for as long as the context lasts."""
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(MOST_WAITING)
    stream = QuietStreamHandler(sys.stdout)
    stream.setFormatter(RedactingFormatter(_utc(OneLineFormatter(LINE)), redact))
    stream.addFilter(lambda record: record.name not in FILES)
    handlers, problem = _file_handlers(folder, redact)
    listener = BoundedQueueListener(waiting, stream, *handlers)
    root, entrance = logging.getLogger(), DroppingQueueHandler(waiting)
    handlers_before = [*root.handlers]
    levels_before = {name: logging.getLogger(name).level for name in ("", *WIRE_LOGGERS)}
    root.handlers = [entrance]
    root.setLevel(level)
    for name in WIRE_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    listener.start()
    if problem:
        CONSOLE.warning("%s", problem)
    try:
        yield
    finally:
        listener.stop()
        root.handlers = handlers_before
        for name, level_before in levels_before.items():
            logging.getLogger(name).setLevel(level_before)
        if not listener.is_stuck:  # else closing would wait for what it waits for
            for handler in handlers:
                with suppress(OSError):  # a full disk: what it could not write is lost
                    handler.close()


def _file_handlers(folder: Path, redact: Redactor) -> tuple[list[QuietFileHandler], str | None]:
    """All of them: what cannot be opened now is tried again with each record. With a warning."""
    handlers = [_file_handler(folder, name, redact) for name in FILES]
    problems = {one.name or "": why for one in handlers if (why := one.try_to_open())}
    if not problems:
        return handlers, None
    if len(problems) == len(handlers) and len({*problems.values()}) == 1:
        why = next(iter(problems.values()))
        return handlers, f"LOG_DIR cannot be written, no log files are kept: {why}"
    told = "; ".join(f"{name} is not kept: {why}" for name, why in problems.items())
    return handlers, f"LOG_DIR cannot be written: {told}"


def _file_handler(folder: Path, name: str, redact: Redactor) -> QuietFileHandler:
    handler = QuietFileHandler(
        folder / f"{name}.log",
        maxBytes=FILE_BYTES,
        backupCount=FILE_BACKUPS,
        encoding="utf-8",
        delay=True,
    )
    handler.name = f"{name}.log"
    handler.setFormatter(RedactingFormatter(OneLineFormatter("%(message)s"), redact))
    handler.addFilter(logging.Filter(name))
    return handler


def _utc(formatter: logging.Formatter) -> logging.Formatter:
    formatter.converter = time.gmtime  # a conversion, not a reading of the clock
    formatter.default_time_format = "%Y-%m-%dT%H:%M:%S"
    formatter.default_msec_format = "%s.%03dZ"
    return formatter
