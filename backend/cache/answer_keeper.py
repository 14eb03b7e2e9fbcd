"""Hands last good answers to the storage, few and seldom enough, and takes them back at a start."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from backend.cache.answer_codec import AnswerCodec
from backend.clock import Clock
from backend.models.answer import Answer, Query

Q = TypeVar("Q", bound=Query[Any])
T = TypeVar("T")
#: Takes an answer of an earlier run; False where it is of no use any more.
Take = Callable[[Q, Answer[T]], Awaitable[bool]]

log = logging.getLogger("gateway")

#: A place that was not refreshed for so long is any newcomer's, in seconds ...
IDLE_S = 300.0
#: ... and much sooner that of one which was refreshed within that time itself.
HELD_S = 60.0
#: So many that found no place are remembered.
MOST_PASSED_OVER = 256
NEVER = float("-inf")


class AnswerStore(Protocol):
    """Where bodies are kept. Never raises."""

    async def keep_answer(self, question: str, body: bytes, now_s: float) -> bool:
        """False: it could not be kept now."""
        ...


@dataclass(slots=True)
class _Place(Generic[T]):
    """One of a keeper's places in the store, and the newest answer that waits to be written."""

    number: int
    refreshed_at: float = NEVER
    due_at: float = NEVER
    waiting: Answer[T] | None = None
    writing: asyncio.Task[None] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Keeping(Generic[Q, T]):
    """How a category's answers are kept: how many questions', and how often each.

    `adopt` is for the cached source.
    """

    name: str
    codec: AnswerCodec[Q, T]
    places: int = 1
    every_s: float = 0.0
    is_wanted: Callable[[Q], bool] = lambda _query: True
    adopt: Callable[[Answer[T]], None] = lambda _answer: None


class AnswerKeeper(Generic[Q, T]):
    """One category's answers: as many questions as it has places, each written by one task.

    A newcomer takes the place whose question was refreshed longest ago, and none that is in use:
    thousands of questions asked once neither drive out nor keep out those that are asked all the
    time, and don't keep the disk busy.
    """

    def __init__(self, keeping: Keeping[Q, T], store: AnswerStore, clock: Clock) -> None:
        self._keeping = keeping
        self._store = store
        self._clock = clock
        #: By question, the one refreshed longest ago first.
        self._places: OrderedDict[Q, _Place[T]] = OrderedDict()
        self._passed_over: OrderedDict[Q, float] = OrderedDict()

    def __repr__(self) -> str:
        return f"<AnswerKeeper {self._keeping.name} {len(self._places)}/{self._keeping.places}>"

    def keep(self, query: Q, answer: Answer[T]) -> None:
        """Returns at once: a task writes it, unless a newer one comes first."""
        place = self._place_of(query) if self._keeping.is_wanted(query) else None
        if place:
            place.refreshed_at, place.waiting = self._clock.monotonic(), answer
            if place.refreshed_at >= place.due_at:
                self._begin(query, place)

    async def recall(self, bodies: Mapping[str, bytes], take: Take[Q, T]) -> None:
        """Hands what an earlier run kept to `take`, oldest first; what that refuses is gone."""
        found = [
            (number, kept)
            for number in range(self._keeping.places)
            if (kept := self._keeping.codec.decoded(bodies.get(self._key(number), b"")))
        ]
        for number, kept in sorted(found, key=lambda one: one[1].fetched_at):
            if self._keeping.is_wanted(kept.query) and await take(kept.query, kept.answer):
                self._places[kept.query] = _Place(number)

    async def flush(self) -> None:
        """Writes what waits, even before its time."""
        for query, place in self._places.items():
            place.due_at = NEVER
            self._begin(query, place)
        writing = [place.writing for place in self._places.values() if place.writing]
        await asyncio.gather(*writing)

    async def aclose(self) -> None:
        """Ends the writing."""
        writing = [place.writing for place in self._places.values() if place.writing]
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)

    def _key(self, number: int) -> str:
        return f"{self._keeping.name}/{number}"

    def _place_of(self, query: Q) -> _Place[T] | None:
        place = self._places.pop(query, None) or self._free_place() or self._taken_over(query)
        if place:
            self._places[query] = place
        return place

    def _free_place(self) -> _Place[T] | None:
        taken = {place.number for place in self._places.values()}
        free = (number for number in range(self._keeping.places) if number not in taken)
        number = next(free, None)
        return None if number is None else _Place(number)

    def _taken_over(self, query: Q) -> _Place[T] | None:
        """The longest idle one's, if it is idle enough for one that comes this often."""
        now = self._clock.monotonic()
        comes_again = now - self._passed_over.pop(query, NEVER) < IDLE_S
        oldest, place = next(iter(self._places.items()))
        idle_s = now - place.refreshed_at
        if place.writing or idle_s < (HELD_S if comes_again else IDLE_S):
            self._pass_over(query, now)
            return None
        del self._places[oldest]
        return _Place(place.number)

    def _pass_over(self, query: Q, now: float) -> None:
        self._passed_over[query] = now
        if len(self._passed_over) > MOST_PASSED_OVER:
            self._passed_over.popitem(last=False)

    def _begin(self, query: Q, place: _Place[T]) -> None:
        if place.writing is None and place.waiting:
            name = f"keep {self._key(place.number)}"
            place.writing = asyncio.create_task(self._write(query, place), name=name)

    async def _write(self, query: Q, place: _Place[T]) -> None:
        try:
            while place.waiting and self._clock.monotonic() >= place.due_at:
                answer, place.waiting = place.waiting, None
                place.due_at = self._clock.monotonic() + self._keeping.every_s
                body = self._keeping.codec.encoded(query, answer)
                now_s = self._clock.now().timestamp()
                if not await self._store.keep_answer(self._key(place.number), body, now_s):
                    place.waiting = place.waiting or answer  # with the next one, or at the end
                    return
        except ValueError:  # a bug of ours, and no reader's business
            log.exception("an answer of %s cannot be kept", self._keeping.name)
        finally:
            place.writing = None
