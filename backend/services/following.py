"""A question that is followed: its answers as they change, for as long as somebody listens."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from backend.errors import GatewayError
from backend.models.answer import Answer, Query
from backend.models.ticks import Flow, TickSubject

Q = TypeVar("Q", bound=Query[Any])
Q_contra = TypeVar("Q_contra", bound=Query[Any], contravariant=True)
T = TypeVar("T")

#: An answer that is over is asked for again after this; somebody else's refresh is seen at once.
ASK_AGAIN_S = 1.0


class Held(Protocol[Q_contra, T]):
    """A cached source: answers, and what changes about them."""

    async def fetch(self, query: Q_contra) -> Answer[T]: ...
    async def changed(self, query: Q_contra, since: int) -> None: ...
    async def amend(
        self,
        query: Q_contra,
        change: Callable[[Answer[T]], Answer[T] | None],
        *,
        renews: bool = False,
    ) -> None: ...


class Listening(Protocol):
    """Who knows which ticks are wanted."""

    def listen(
        self,
        following: "Following[Any, Any]",
        subject: TickSubject | None,
        query: Query[Any] | None,
    ) -> None: ...
    def flow(self, subject: TickSubject) -> Flow: ...
    async def retell(self, subject: TickSubject | None, answer: Answer[Any]) -> None: ...


class Following(Generic[Q, T]):
    """One question, followed: nothing is asked before somebody iterates, nor after."""

    def __init__(
        self,
        live: Listening,
        ask: Callable[[], Awaitable[tuple[Q, Answer[T]]]],
        held: Held[Q, T],
        subject: Callable[[Answer[T]], TickSubject | None],
    ) -> None:
        self._live = live
        self._ask = ask
        self._held = held
        self._subject_of = subject
        self._subject: TickSubject | None = None

    @property
    def flow(self) -> Flow | None:
        """How a venue's ticks come in; None where none could."""
        return self._live.flow(self._subject) if self._subject else None

    async def answers(self) -> AsyncGenerator[Answer[T] | GatewayError]:
        """Each new answer, and each time that there is none the precise error; for ever."""
        seen = 0
        try:
            while True:
                try:
                    query, answer = await self._ask()
                except GatewayError as error:
                    seen = 0
                    yield error
                    await asyncio.sleep(ASK_AGAIN_S)
                    continue
                self._listen(self._subject_of(answer), query)
                if answer.refresh_id != seen:
                    await self._live.retell(self._subject, answer)
                    seen = answer.refresh_id
                    yield answer
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(answer.ttl_left_s, ASK_AGAIN_S)):
                        await self._held.changed(query, answer.refresh_id)
        finally:
            self._listen(None, None)

    def _listen(self, subject: TickSubject | None, query: Q | None) -> None:
        self._live.listen(self, subject, query)
        self._subject = subject
