"""Additions to the log of calls, of which those that wait are made together."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

Amounts = Mapping[tuple[str, int], int]


class GroupedAppends:
    """One append is under way at a time; what comes meanwhile makes up the next one.

    Each takes a round trip to the store: one after the other, ten calls of a distant store would
    exceed the time limit of the last.
    """

    def __init__(self, append: Callable[[Amounts], Awaitable[bool]]) -> None:
        self._append = append
        self._gathered: dict[tuple[str, int], int] = {}
        self._running: asyncio.Task[bool] | None = None
        self._next: asyncio.Task[bool] | None = None

    def __repr__(self) -> str:
        return f"<GroupedAppends {len(self._gathered)} waiting>"

    async def add(self, amounts: Amounts) -> bool:
        """What `append` returned, or raised, for the group of these amounts. A caller that is
        cancelled takes nothing back."""
        for key, amount in amounts.items():
            self._gathered[key] = self._gathered.get(key, 0) + amount
        if self._next is None:
            self._next = asyncio.create_task(self._send(self._running), name="append calls")
            self._next.add_done_callback(_note_end)
        return await asyncio.shield(self._next)

    async def _send(self, before: asyncio.Task[bool] | None) -> bool:
        if before:
            await asyncio.wait({before})
        amounts, self._gathered = self._gathered, {}
        self._running, self._next = self._next, None
        return await self._append(amounts)


def _note_end(task: asyncio.Task[bool]) -> None:
    if not task.cancelled():
        task.exception()  # marks it as retrieved: its callers may be gone
