"""A rolling restart: which worker is ended next, and when."""

import logging
from collections import deque
from collections.abc import Sequence

from api.server.worker_process import Slot, WorkerProcess

log = logging.getLogger("gateway")


class RollingRestart:
    """Replaces the workers that run when it begins, one after the other.

    Each one is ended once the one before serves again and another one serves, so that there are
    never more processes than before and always one that answers.
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        #: Processes that are still to be ended.
        self._old: deque[WorkerProcess] = deque()
        #: The place of the one that was ended last.
        self._current: Slot | None = None
        self._is_running = False

    def __repr__(self) -> str:
        return f"<RollingRestart {len(self._old)} left>"

    def begin(self) -> None:
        """Begins anew if it is under way: settings may have changed again."""
        self._old = deque(slot.process for slot in self._slots if slot.process)
        self._is_running = True
        log.info("the workers are restarted one after the other")

    def next_to_end(self) -> WorkerProcess | None:
        """The process to be ended now, if there is one: the caller ends it."""
        if not self._is_running or (self._current and not self._current.is_serving):
            return None
        self._current = None
        slot = self._next_old()
        if slot is None:
            self._is_running = False
            log.info("the workers were restarted")
        elif self._is_served_without(slot):
            self._current = slot
            return slot.process
        return None

    def _next_old(self) -> Slot | None:
        """The place of the next old process that still runs."""
        while self._old:
            for slot in self._slots:
                if slot.process is self._old[0]:
                    return slot
            self._old.popleft()
        return None

    def _is_served_without(self, slot: Slot) -> bool:
        others = [one for one in self._slots if one is not slot]
        return not others or any(one.is_serving for one in others)
