"""Logging of the process: the three JSON-lines files, and plain lines on standard output.

The event loop never writes: records go into a bounded queue, and a thread writes them, or sends the
lines to the supervisor, if it is a worker's. A file that cannot be written costs a warning, never
an answer.
"""

import logging
import queue
import re
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from types import TracebackType
from typing import TextIO

from backend.observability.log_channel import FinishedLine, LineSender, SendingHandler
from backend.observability.log_files import ACCESS, CONSOLE, FILES, file_handlers
from backend.redaction import Redactor

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

#: Loggers that show addresses and headers of upstream calls.
WIRE_LOGGERS = ("httpx", "httpcore", "websockets")
#: Longest queue of unwritten records, in records; further ones are dropped.
MOST_WAITING = 10_000
#: Longest wait for the queue at shutdown, in seconds: once to enter it, once to write it.
STOP_S = 1.0
JSON_LINE = "%(message)s"
LINE = "%(asctime)s %(levelname)-7s %(source)s  %(message)s"
#: The same line of a worker; the number is filled in.
WORKER_LINE = LINE.replace("%", "%%").replace("%%(source)s", "%%(source)s[%d]")
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
        if isinstance(record, FinishedLine):
            return record.text
        return self._redact(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = one_line(record.message.rstrip())
        # uvicorn logs its start by this name, and nothing is wrong with it.
        record.source = "uvicorn" if record.name == "uvicorn.error" else record.name
        return super().formatMessage(record)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - logging's name
        return "".join(map(_escaped_part, traceback.format_exception(*ei))).rstrip("\n")


class WorkerJsonFormatter(LineFormatter):
    """Adds the worker's number to a JSON line."""

    def __init__(self, process: int, redact: Redactor) -> None:
        super().__init__(JSON_LINE, redact)
        self._end = f',"process":{process}}}'

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).removesuffix("}") + self._end


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


class QuietStreamHandler(logging.StreamHandler[TextIO]):
    """Drops a record that fails: logging's default prints its arguments unredacted."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        pass


@contextmanager
def open_logs(
    folder: Path,
    level: str,
    redact: Redactor,
    sender: LineSender | None = None,
    *,
    access_log: bool = False,
) -> Iterator[BoundedQueueListener]:
    """Routes all logging of the process through one queue while the context is open.

    With `sender`, lines go to the supervisor, which writes them. `access_log`: there is a file for
    requests, too.
    """
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(MOST_WAITING)
    files = (*FILES, ACCESS) if access_log else FILES
    if sender is None:
        handlers, problem = _writers(folder, redact, files)
    else:
        handlers, problem = _senders(sender, redact, files), ""
    listener = BoundedQueueListener(waiting, *handlers)
    queueing = DroppingQueueHandler(waiting)
    if sender is not None:
        queueing.addFilter(sender.accepts)
    root = logging.getLogger()
    handlers_before = [*root.handlers]
    levels_before = {name: logging.getLogger(name).level for name in ("", *WIRE_LOGGERS)}
    root.handlers = [queueing]
    root.setLevel(level)
    for name in WIRE_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    listener.start()
    if problem:
        CONSOLE.warning("%s", problem)
    try:
        yield listener
    finally:
        listener.stop()
        root.handlers = handlers_before
        for name, level_before in levels_before.items():
            logging.getLogger(name).setLevel(level_before)
        if not listener.is_stuck:  # a stuck thread holds the lock that closing needs
            for handler in handlers:
                with suppress(OSError):  # a full disk: the buffered records are lost
                    handler.close()


def _writers(
    folder: Path, redact: Redactor, names: Sequence[str]
) -> tuple[list[logging.Handler], str | None]:
    """The handlers of standard output and of the files, and a warning about the files."""
    stream = QuietStreamHandler(sys.stdout)
    stream.setFormatter(LineFormatter(LINE, redact))
    stream.addFilter(_is_plain)
    files, problem = file_handlers(folder, LineFormatter(JSON_LINE, redact), names)
    return [stream, *files], problem


def _senders(sender: LineSender, redact: Redactor, names: Sequence[str]) -> list[logging.Handler]:
    plain = SendingHandler(sender, "")
    plain.setFormatter(LineFormatter(WORKER_LINE % sender.process, redact))
    plain.addFilter(_is_plain)
    handlers: list[logging.Handler] = [plain]
    for name in names:
        handler = SendingHandler(sender, name)
        handler.setFormatter(WorkerJsonFormatter(sender.process, redact))
        handler.addFilter(logging.Filter(name))
        handlers.append(handler)
    return handlers


def _is_plain(record: logging.LogRecord) -> bool:
    return record.name not in (*FILES, ACCESS)
