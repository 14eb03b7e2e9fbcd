"""Logging of the process: the three JSON-lines files, and plain lines on standard output.

The event loop never writes: records go into a bounded queue, and a thread writes them. A file
that cannot be written costs a warning, never an answer.
"""

import errno
import logging
import os
import queue
import re
import stat
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import TextIO

from backend.observability.event_log import CONSOLE, FILES
from backend.redaction import Redactor

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

#: Loggers that show addresses and headers of upstream calls.
WIRE_LOGGERS = ("httpx", "httpcore", "websockets")
FILE_BYTES, FILE_BACKUPS = 10 * 1024 * 1024, 5
#: Longest queue of unwritten records, in records; further ones are dropped.
MOST_WAITING = 10_000
#: Longest wait for the queue at shutdown, in seconds: once to enter it, once to write it.
STOP_S = 1.0
NOT_A_FILE = "not a regular file"
LINE = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"
#: C0 and C1, line and paragraph separators, marks and overrides of direction, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class LineFormatter(logging.Formatter):
    """Formats a record as one redacted line, in UTC, followed by the lines of its traceback.

    Control characters are escaped, so that a foreign text cannot forge a log line.
    """

    converter = staticmethod(time.gmtime)  # a conversion, not a reading of the clock
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, form: str, redact: Redactor) -> None:
        super().__init__(form)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = one_line(record.message.rstrip())
        return super().formatMessage(record)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - logging's name
        return "".join(map(_escaped_part, traceback.format_exception(*ei))).rstrip("\n")


def one_line(text: str) -> str:
    """`text` with control characters as `\\n` or `\\u001b`, so that JSON keeps its meaning."""
    return _UNSAFE.sub(lambda found: _SHORT.get(found[0]) or f"\\u{ord(found[0]):04x}", text)


def _escaped_part(part: str) -> str:
    """Keeps the lines of code locations; an exception's text may come from a provider."""
    if part.lstrip(" |").startswith('File "'):
        return "\n".join(map(one_line, part.split("\n")))
    text = part.strip("\n")
    return part.replace(text, one_line(text), 1) if text else part


class DroppingQueueHandler(QueueHandler):
    """Queues records unformatted, and drops them while the queue is full."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        with suppress(queue.Full):
            self.queue.put_nowait(record)


class BoundedQueueListener(QueueListener):
    """A listener whose thread survives errors of handlers, and whose `stop` has a time limit."""

    #: After `stop`: the thread is still inside a handler.
    is_stuck = False

    def handle(self, record: logging.LogRecord) -> None:
        for handler in self.handlers:
            with suppress(Exception):  # a failing handler must not stop the others or the thread
                handler.handle(record)

    def stop(self) -> None:
        """Writes the queue and ends; abandons a thread that hangs for longer than STOP_S."""
        with suppress(queue.Full):
            self.queue.put(self._sentinel, timeout=STOP_S)  # type: ignore[attr-defined] # not in typeshed
        if self._thread:
            self._thread.join(STOP_S)
            self.is_stuck = self._thread.is_alive()
            self._thread = None


class QuietFileHandler(RotatingFileHandler):
    """A rotating file that reports a failure once on standard error, until writing works again.

    A deleted file or folder is created again, and a file that was moved or replaced is reopened
    under its own name. Only regular files are opened: opening a named pipe would block.
    """

    is_failing = False

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
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
        if self.stream:
            try:
                opened = os.fstat(self.stream.fileno())
                is_in_place = os.path.samestat(os.stat(self.baseFilename), opened)
            except OSError:
                is_in_place = False
            if not is_in_place:
                self.stream.close()
                self.stream = None
        return super().shouldRollover(record)  # opens a missing stream

    def emit(self, record: logging.LogRecord) -> None:
        self._failed_now = False
        super().emit(record)
        self.is_failing = self._failed_now

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        self._failed_now = True
        if not self.is_failing:
            with suppress(OSError, ValueError):  # standard error may be on the same full disk
                print(f"log file {Path(self.baseFilename).name} cannot be written", file=sys.stderr)

    def try_to_open(self) -> str | None:
        """Opens the file. Returns why it cannot be written, for the caller to report, else None."""
        try:
            self.stream = self._open()
        except (OSError, ValueError) as error:
            self.is_failing = True
            is_pipe = getattr(error, "errno", None) == errno.ENXIO  # a named pipe without a reader
            return NOT_A_FILE if is_pipe else getattr(error, "strerror", "not a valid file name")
        return None


class QuietStreamHandler(logging.StreamHandler[TextIO]):
    """Drops a record that fails: logging's default prints its arguments unredacted."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        pass


@contextmanager
def open_logs(folder: Path, level: str, redact: Redactor) -> Iterator[None]:
    """Routes all logging of the process through one queue while the context is open."""
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(MOST_WAITING)
    stream = QuietStreamHandler(sys.stdout)
    stream.setFormatter(LineFormatter(LINE, redact))
    stream.addFilter(lambda record: record.name not in FILES)
    handlers, problem = _file_handlers(folder, redact)
    listener = BoundedQueueListener(waiting, stream, *handlers)
    root = logging.getLogger()
    handlers_before = [*root.handlers]
    levels_before = {name: logging.getLogger(name).level for name in ("", *WIRE_LOGGERS)}
    root.handlers = [DroppingQueueHandler(waiting)]
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
        if not listener.is_stuck:  # a stuck thread holds the lock that closing needs
            for handler in handlers:
                with suppress(OSError):  # a full disk: the buffered records are lost
                    handler.close()


def _file_handlers(folder: Path, redact: Redactor) -> tuple[list[QuietFileHandler], str | None]:
    """The file handlers, and a warning about those that cannot be opened now.

    They are tried again with each record.
    """
    handlers, problems = [], {}
    for name in FILES:
        file = folder / f"{name}.log"
        handler = QuietFileHandler(file, "a", FILE_BYTES, FILE_BACKUPS, "utf-8", delay=True)
        handler.setFormatter(LineFormatter("%(message)s", redact))
        handler.addFilter(logging.Filter(name))
        handlers.append(handler)
        if problem := handler.try_to_open():
            problems[file.name] = problem
    if not problems:
        return handlers, None
    if len(problems) == len(handlers) and len({*problems.values()}) == 1:
        why = next(iter(problems.values()))
        return handlers, f"LOG_DIR cannot be written, log files are off: {why}"
    names = "; ".join(f"{name} is off: {why}" for name, why in problems.items())
    return handlers, f"LOG_DIR cannot be written: {names}"
