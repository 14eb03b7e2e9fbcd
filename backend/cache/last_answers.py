"""The last good answers of all categories: kept as they come, recalled at a start."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar

from backend.cache.answer_keeper import AnswerKeeper, AnswerStore, Keeping, Take
from backend.clock import Clock
from backend.models.answer import Query

Q = TypeVar("Q", bound=Query[Any])
T = TypeVar("T")

#: What waits at the end of the process gets so long to be written, in seconds.
CLOSE_S = 0.5


class LastAnswers:
    """Owns the keepers over one store."""

    def __init__(self, store: AnswerStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._keepers: list[AnswerKeeper[Any, Any]] = []
        self._takes: list[Take[Any, Any]] = []

    def __repr__(self) -> str:
        return f"<LastAnswers {self._keepers!r}>"

    def keeper(self, keeping: Keeping[Q, T]) -> AnswerKeeper[Q, T]:
        return AnswerKeeper(keeping, self._store, self._clock)

    def add(self, keeper: AnswerKeeper[Q, T], take: Take[Q, T]) -> None:
        """`take` gets what `keeper` finds of an earlier run; in the order of adding."""
        self._keepers.append(keeper)
        self._takes.append(take)

    async def recall(self, bodies: Mapping[str, bytes]) -> None:
        for keeper, take in zip(self._keepers, self._takes, strict=True):
            await keeper.recall(bodies, take)

    async def aclose(self) -> None:
        """Writes what waits, if the store is quick about it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await asyncio.gather(*(keeper.flush() for keeper in self._keepers))
        await asyncio.gather(*(keeper.aclose() for keeper in self._keepers))
