"""The JSON-lines files: their names, and the handlers that write them."""

import errno
import logging
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

ROTATION, FAILURES, HEALTH = "provider_rotation", "provider_failures", "provider_health"
FILES = (ROTATION, FAILURES, HEALTH)
#: The log of requests, if ACCESS_LOG is true.
ACCESS = "access"
#: The logger of plain lines, which go to standard output.
CONSOLE = logging.getLogger("gateway")
FILE_BYTES, FILE_BACKUPS = 10 * 1024 * 1024, 5
NOT_A_FILE = "not a regular file"


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


def file_handlers(
    folder: Path, formatter: logging.Formatter, names: Sequence[str] = FILES
) -> tuple[list[QuietFileHandler], str | None]:
    """The file handlers, and a warning about those that cannot be opened now.

    They are tried again with each record.
    """
    handlers, problems = [], {}
    for name in names:
        file = folder / f"{name}.log"
        handler = QuietFileHandler(file, "a", FILE_BYTES, FILE_BACKUPS, "utf-8", delay=True)
        handler.setFormatter(formatter)
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
