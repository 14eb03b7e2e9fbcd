"""Where logs go: three JSON-lines files of the contract, and plain lines to standard output.

Nothing is written on the event loop: records go into a bounded queue, a thread writes them. A
file that cannot be written costs a warning, never an answer.
"""

import logging
import queue
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path
from typing import TextIO

from backend.observability.event_log import CONSOLE, FILES
from backend.observability.redaction import RedactingFormatter, Redactor

#: They tell addresses and headers of whom we call.
WIRE_LOGGERS = ("httpx", "httpcore", "websockets")
FILE_BYTES, FILE_BACKUPS = 10 * 1024 * 1024, 5
#: Records waiting for the writing thread; more are dropped rather than held.
MOST_WAITING = 10_000
#: The last records are waited for so long, twice.
STOP_S = 1.0
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

    A file that somebody has taken away, its folder too, is made anew.
    """

    is_failing = False

    def shouldRollover(self, record: logging.LogRecord) -> int:  # noqa: N802 - logging's name
        if not Path(self.baseFilename).exists():
            if self.stream:
                self.stream.close()
                self.stream = None
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super().shouldRollover(record)

    def emit(self, record: logging.LogRecord) -> None:
        self._failed_now = False
        super().emit(record)
        self.is_failing = self._failed_now

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        self._failed_now = True
        if not self.is_failing:
            with suppress(OSError, ValueError):  # it may stand on the same full disk
                print(f"log file {Path(self.baseFilename).name} cannot be written", file=sys.stderr)


class QuietStreamHandler(logging.StreamHandler[TextIO]):
    """Never prints a record that failed: logging's own way shows its arguments unredacted."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        pass


@contextmanager
def open_logs(folder: Path, level: str, redact: Redactor) -> Iterator[None]:
    """Routes all logging of the process through one queue, for as long as the context lasts."""
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(MOST_WAITING)
    stream = QuietStreamHandler(sys.stdout)
    stream.setFormatter(RedactingFormatter(_utc(logging.Formatter(LINE)), redact))
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
        CONSOLE.warning("LOG_DIR cannot be written, no log files are kept: %s", problem)
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


def _file_handlers(folder: Path, redact: Redactor) -> tuple[list[logging.Handler], str | None]:
    handlers: list[logging.Handler] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            handler = QuietFileHandler(
                folder / f"{name}.log",
                maxBytes=FILE_BYTES,
                backupCount=FILE_BACKUPS,
                encoding="utf-8",
            )
            handler.setFormatter(RedactingFormatter(logging.Formatter("%(message)s"), redact))
            handler.addFilter(logging.Filter(name))
            handlers.append(handler)
    except OSError as error:
        for opened in handlers:
            opened.close()
        return [], error.strerror or type(error).__name__
    return handlers, None


def _utc(formatter: logging.Formatter) -> logging.Formatter:
    formatter.converter = time.gmtime  # a conversion, not a reading of the clock
    formatter.default_time_format = "%Y-%m-%dT%H:%M:%S"
    formatter.default_msec_format = "%s.%03dZ"
    return formatter
