"""Exceptions that nobody foresaw: logged with their traceback, once for each place and kind."""

import logging
from traceback import walk_tb

log = logging.getLogger("gateway")

#: Places and kinds that are remembered; what comes after that many is not logged.
MOST_KINDS = 256


class UnexpectedErrors:
    """Logs the first exception of each type and line, so that a fault at each call fills no log."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str, int]] = set()

    def __repr__(self) -> str:
        return f"<UnexpectedErrors {len(self._seen)} kinds>"

    def log(self, where: str, error: Exception) -> None:
        """`where` says in words what failed."""
        kind = (type(error).__name__, *_place(error))
        if kind in self._seen or len(self._seen) >= MOST_KINDS:
            return
        self._seen.add(kind)
        log.error("unexpected %s in %s", kind[0], where, exc_info=error)


def _place(error: Exception) -> tuple[str, int]:
    """File and line where it was raised."""
    frames = list(walk_tb(error.__traceback__))
    if not frames:
        return "", 0
    frame, line = frames[-1]
    return frame.f_code.co_filename, line
