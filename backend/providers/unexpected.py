"""Logs unexpected exceptions with their traceback, once for each type and line of code."""

import logging
from traceback import walk_tb

log = logging.getLogger("gateway")

#: Types and lines remembered; further ones are not logged.
MOST_KINDS = 256


class UnexpectedErrors:
    """Logs only the first exception of each type and line, so that the log cannot fill up."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str, int]] = set()

    def log(self, where: str, error: Exception) -> None:
        """`where` describes what failed, for the log line."""
        frames = [*walk_tb(error.__traceback__)]
        file, line = (frames[-1][0].f_code.co_filename, frames[-1][1]) if frames else ("", 0)
        kind = (type(error).__name__, file, line)
        if kind in self._seen or len(self._seen) >= MOST_KINDS:
            return
        self._seen.add(kind)
        log.error("unexpected %s in %s", kind[0], where, exc_info=error)
