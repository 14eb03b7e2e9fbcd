"""The storage over an SQLite file, whose thread nobody waits for longer than a moment.

Nothing that goes wrong with it stops an answer: it is told once, and the gateway goes on with what
it has in memory.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from backend.clock import Clock
from backend.storage.contract import FIRST_SECOND, KeptBlock, NoStorage, Remembered, Storage
from backend.storage.daemon_thread import DaemonThread
from backend.storage.state_file import BUSY_TIMEOUT_S, StateFile

T = TypeVar("T")

log = logging.getLogger("gateway")

#: A write that takes longer waits for nobody: the call that it is for goes out uncounted there.
TIMEOUT_S = 2.0
#: At the end the last write gets less: a server has seconds to stop.
CLOSE_S = 0.5
#: Entries that wait for a store that fails; of more, those of short windows are given up, which are
#: over within the hour.
MOST_OWED = 10_000
#: What failed is left alone so long, so that no call waits for it again and again.
RETRY_S = 10.0


def open_storage(path: Path | None, clock: Clock, **times: float) -> Storage:
    """The storage at `path`; None keeps nothing. `times` are those of SqliteStorage."""
    return SqliteStorage(path, clock, **times) if path else NoStorage()


class SqliteStorage:
    """One file, one thread. Calls that could not be written are, with the next ones that can."""

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
        self._owed: dict[tuple[str, int], int] = {}
        self._owed_lock = Lock()
        self._hanging: Future[Any] | None = None
        self._blocks_under_way: set[asyncio.Task[None]] = set()
        self._retry_at = 0.0
        self._is_failing = False

    def __repr__(self) -> str:
        return f"<SqliteStorage {self._file!r}{' failing' if self._is_failing else ''}>"

    async def remembered(self) -> Remembered:
        return await self._do(self._file.read, Remembered())

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float) -> None:
        """They survive a kill of the process once this has returned, or it is told in the log."""
        self._owe(amounts)
        await self._do(lambda: self._pay(now_s), None)

    async def keep_answer(
        self, question: str, body: bytes, now_s: float, most: int | None = None
    ) -> bool:
        def keep() -> bool:
            self._file.keep(question, body, now_s, most)
            return True

        return await self._do(keep, False)

    def keep_block(self, name: str, block: KeptBlock | None) -> None:
        task = asyncio.create_task(self._do(lambda: self._file.keep_block(name, block), None))
        self._blocks_under_way.add(task)
        task.add_done_callback(self._blocks_under_way.discard)

    async def forget_before(self, minute: int, second: int, answers_before_s: float) -> None:
        await self._do(lambda: self._file.forget(minute, second, answers_before_s), None)

    async def sign_of_life(self, now_s: float) -> None:
        await self._do(lambda: self._pay(now_s, is_alive=True), None)

    async def aclose(self) -> None:
        self._timeout_s = CLOSE_S
        await asyncio.gather(*self._blocks_under_way)
        await self._do(self._file.close, None)
        self._thread.stop()

    def _owe(self, amounts: Mapping[tuple[str, int], int]) -> None:
        with self._owed_lock:
            for key, amount in amounts.items():
                self._owed[key] = self._owed.get(key, 0) + amount
            if len(self._owed) > MOST_OWED:
                long = {key: n for key, n in self._owed.items() if key[1] < FIRST_SECOND}
                self._owed = dict(list(long.items())[-MOST_OWED:])

    def _pay(self, now_s: float, *, is_alive: bool = False) -> None:
        """In the thread: everything at once, so that a sign of life says that nothing is owed."""
        with self._owed_lock:
            owed, self._owed = self._owed, {}
        if not owed and not is_alive:
            return  # another one's writing took it along
        try:
            self._file.add(owed, now_s)
        except BaseException:
            self._owe(owed)
            raise

    async def _do(self, work: Callable[[], T], otherwise: T) -> T:
        now = self._clock.monotonic()
        if now < self._retry_at or (self._hanging and not self._hanging.done()):
            return otherwise
        try:
            done = await self._in_thread(work)
        except Exception as error:  # a bug of ours must not cost an answer either
            self._retry_at = now + self._retry_s
            self._tell(error)
            return otherwise
        if self._is_failing and now >= self._retry_at:  # it began after the failure
            self._is_failing = False
            log.info("STATE_PATH works again")
        return done

    async def _in_thread(self, work: Callable[[], T]) -> T:
        future = self._thread.submit(work)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if future.running():  # else it was cancelled before its turn
                self._hanging = future
            raise TimeoutError(f"nothing within {self._timeout_s:g} s") from None

    def _tell(self, error: Exception) -> None:
        if not self._is_failing:
            self._is_failing = True
            detail = f"{type(error).__name__}: {error}"
            log.warning("STATE_PATH cannot be used, a restart would forget: %s", detail)
