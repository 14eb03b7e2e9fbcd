"""The storage in an SQLite file. Its thread may hang; no request and no shutdown waits for it long.

A failure does not stop an answer: it is logged once, and the gateway continues with its memory.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from backend.clock import Clock
from backend.storage.contract import FIRST_SECOND_TICK, SavedBlock, SavedState, Storage
from backend.storage.state_file import BUSY_TIMEOUT_S, StateFile

T = TypeVar("T")

log = logging.getLogger("gateway")

#: Time limit of an operation, in seconds. After it the call goes out, and is saved later.
TIMEOUT_S = 2.0
#: Time limit of an operation while the storage closes, in seconds.
CLOSE_S = 0.5
#: Largest number of amounts that wait for a failing file. Over it those of short windows, which
#: end within the hour, are dropped.
MAX_PENDING = 10_000
#: Pause after a failure, in seconds, so that not every call waits for the time limit.
RETRY_S = 10.0


def open_storage(path: Path | None, clock: Clock, **times: float) -> Storage:
    """The storage at `path`; None saves nothing. `times` are those of SqliteStorage."""
    return SqliteStorage(path, clock, **times) if path else Storage()


class SqliteStorage(Storage):
    """One file, one thread. Calls that could not be saved are saved with the next ones."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        timeout_s: float = TIMEOUT_S,
        retry_s: float = RETRY_S,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        self._file = StateFile(path, busy_timeout_s=busy_timeout_s)
        self._clock = clock
        self._timeout_s = timeout_s
        self._retry_s = retry_s
        self._thread = DaemonThread("storage")
        self._pending_calls: dict[tuple[str, int], int] = {}
        self._pending_lock = Lock()
        self._hanging: Future[Any] | None = None
        self._block_writes: set[asyncio.Task[None]] = set()
        self._retry_at = 0.0
        self._is_failing = False

    def __repr__(self) -> str:
        return f"<SqliteStorage {self._file!r}{' failing' if self._is_failing else ''}>"

    async def load(self) -> SavedState:
        return await self._run(self._file.load, SavedState())

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float | None) -> bool:
        """They survive a kill of the process once this has returned without a warning."""
        self._add_pending(amounts)
        await self._run(lambda: self._write_pending(now_s), None)
        return True

    async def save_answer(
        self, key: str, body: bytes, now_s: float, max_answers: int | None = None
    ) -> bool:
        def save() -> bool:
            self._file.save_answer(key, body, now_s, max_answers)
            return True

        return await self._run(save, False)

    def save_block(self, name: str, block: SavedBlock | None) -> None:
        task = asyncio.create_task(self._run(lambda: self._file.save_block(name, block), None))
        self._block_writes.add(task)
        task.add_done_callback(self._block_writes.discard)

    async def delete_before(self, minute: int, second: int, answers_before_s: float) -> None:
        await self._run(lambda: self._file.delete_before(minute, second, answers_before_s), None)

    async def heartbeat(self, now_s: float) -> None:
        await self._run(lambda: self._write_pending(now_s, is_heartbeat=True), None)

    async def aclose(self) -> None:
        self._timeout_s = CLOSE_S
        await asyncio.gather(*self._block_writes)
        await self._run(self._file.close, None)
        self._thread.stop()

    def _add_pending(self, amounts: Mapping[tuple[str, int], int]) -> None:
        with self._pending_lock:
            pending = self._pending_calls
            for key, amount in amounts.items():
                pending[key] = pending.get(key, 0) + amount
            if len(pending) > MAX_PENDING:
                long = [(key, n) for key, n in pending.items() if key[1] < FIRST_SECOND_TICK]
                self._pending_calls = dict(long[-MAX_PENDING:])

    def _write_pending(self, now_s: float | None, *, is_heartbeat: bool = False) -> None:
        """Runs in the thread. Writes all at once: after a heartbeat nothing is pending."""
        with self._pending_lock:
            pending, self._pending_calls = self._pending_calls, {}
        if not pending and not is_heartbeat:
            return  # another call has written them
        try:
            self._file.add_calls(pending, now_s)
        except BaseException:
            self._add_pending(pending)
            raise

    async def _run(self, work: Callable[[], T], otherwise: T) -> T:
        now = self._clock.monotonic()
        if now < self._retry_at or (self._hanging and not self._hanging.done()):
            return otherwise
        try:
            result = await self._in_thread(work)
        except Exception as error:  # a bug must not cost an answer either
            self._retry_at = now + self._retry_s
            if not self._is_failing:
                self._is_failing = True
                text = "STATE_PATH cannot be used, its data would be lost in a restart: %s: %s"
                log.warning(text, type(error).__name__, error)
            return otherwise
        if self._is_failing and now >= self._retry_at:  # it started after the failure
            self._is_failing = False
            log.info("STATE_PATH works again")
        return result

    async def _in_thread(self, work: Callable[[], T]) -> T:
        future = self._thread.submit(work)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if future.running():  # otherwise it was cancelled before it started
                self._hanging = future
            raise TimeoutError(f"nothing within {self._timeout_s:g} s") from None


class DaemonThread:
    """Runs one piece of work after the other. Neither the event loop nor the end of the process
    waits for it; the standard executor is joined at exit, for as long as a disk does not respond.

    The thread starts with the first work.
    """

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
            _do(*item)
            del item  # an answer of megabytes, while the next work may come in minutes


def _do(future: "Future[T]", work: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
