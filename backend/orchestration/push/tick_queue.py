"""Ticks on their way from the venues' connections to the one consumer."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class TickQueue(Generic[T]):
    """A bounded queue for one reader, who gets what was put in its order.

    `asyncio.Queue` does the same for any number of readers, at three times the calls for a tick.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        #: How many more may wait.
        self._room = most
        self._waiting: deque[T] = deque()
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        #: Whether someone waits for room.
        self._is_full = False
        self._has_room = asyncio.Event()

    def __repr__(self) -> str:
        return f"<TickQueue {len(self._waiting)}/{self._most}>"

    async def put(self, one: T) -> None:
        """Waits while `most` are waiting."""
        while not self._room:
            self._is_full = True
            self._has_room.clear()
            await self._has_room.wait()
        self._room -= 1
        self._waiting.append(one)
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)

    def fail(self, error: Exception) -> None:
        """The reader gets the error once it has read what waits."""
        self._error = error
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self) -> T:
        """Waits until there is one. Raises what `fail` was called with."""
        while not self._waiting:
            if self._error:
                raise self._error
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        self._room += 1
        if self._is_full:
            self._is_full = False
            self._has_room.set()
        return self._waiting.popleft()
