"""A log line for each response with a status of 500 or more, so that its request id leads there."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from starlette.types import Scope

from backend.clock import Clock
from backend.models.status import OFF

#: The key of an error's code and providers in `scope["state"]`.
PROBLEM = "problem"
#: Lines a second; the rest of a storm is counted.
MAX_PER_S = 10
#: Characters of a path, and providers, that a line shows at most.
MAX_PATH, MAX_PROVIDERS = 200, 16
#: The error that is logged with its traceback where it is caught.
LOGGED_ELSEWHERE = "internal_error"

log = logging.getLogger("gateway")


class ErrorLog:
    """Logs errors of the gateway, with a bounded number of lines a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second, self._lines, self._left_out = 0, 0, 0

    def __repr__(self) -> str:
        return f"<ErrorLog {self._lines} lines this second>"

    def record(self, scope: Scope, status: int) -> None:
        """Logs a response with this status; the path has no query, which may contain a key."""
        state: Mapping[str, Any] = scope["state"]
        code, providers = state.get(PROBLEM, ("", ()))
        if code == LOGGED_ELSEWHERE or not self._has_room():
            return
        reasons = ", ".join(_reasons(providers))
        log.warning(
            "request %s: %d %s for %s %s%s",
            state["request_id"],
            status,
            code or "error",
            scope["method"],
            scope["path"][:MAX_PATH],
            f"; {reasons}" if reasons else "",
        )

    def _has_room(self) -> bool:
        second = int(self._clock.monotonic())
        if second != self._second:
            self._tell_left_out()
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines <= MAX_PER_S:
            return True
        self._left_out += 1
        if self._left_out == 1:  # told even if no further error follows
            asyncio.get_running_loop().call_later(1.0, self._tell_left_out)
        return False

    def _tell_left_out(self) -> None:
        if self._left_out:
            log.warning("%d more requests failed within a second", self._left_out)
            self._left_out = 0


def _reasons(providers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Of the providers that are on and could have answered, if there are any."""
    on = [each for each in providers if each["reason"] not in OFF]
    on = [each for each in on if each["reason"] != "unsupported"] or on
    for each in on[:MAX_PROVIDERS]:
        yield f"{each['provider']} {each['reason']}"
    if len(on) > MAX_PROVIDERS:
        yield f"and {len(on) - MAX_PROVIDERS} more"
