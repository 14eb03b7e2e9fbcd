"""A thread for work that may hang. Neither the event loop nor the end of the process waits for it.

The standard executor is joined at exit, for as long as a disk does not respond.
"""

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class DaemonThread:
    """Runs one piece of work after the other. The thread starts with the first one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._is_stopped = False

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Raises RuntimeError after `stop`, and if no thread can be started."""
        if self._is_stopped:
            raise RuntimeError("already closed")
        if self._thread is None:
            thread = Thread(target=self._run, name=self._name, daemon=True)
            thread.start()
            self._thread = thread  # only now: after a failed start the next call tries again
        future: Future[T] = Future()
        self._queue.put((future, work))
        return future

    def stop(self) -> None:
        """Ends the thread after the submitted work. Does not wait."""
        self._is_stopped = True
        self._queue.put(None)

    def _run(self) -> None:
        while item := self._queue.get():
            future, work = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
