"""The last good answers of a category, persisted so that a restart begins with them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Literal, get_args

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from backend.bounded_map import BoundedMap
from backend.clock import Clock
from backend.models.answer import Answer, Attempt, Q, T
from backend.storage.contract import Storage

log = logging.getLogger("gateway")

#: The time for the last writes when the store closes, in seconds.
CLOSE_S = 0.5
#: Remembered queries that were refreshed once: more than providers' limits allow within one TTL of
#: candles, so that many queries asked once do not hide one that is asked again.
MOST_REFRESHED = 4_096


@dataclass(frozen=True, slots=True)
class KeptAnswer(Generic[Q, T]):
    """A query and the lasting part of its answer.

    `version` rises when the meaning of a field changes; a change of shape fails the validation.
    """

    query: Q
    data: T
    source: str | tuple[str, ...]
    fetched_at: AwareDatetime
    latency_ms: float | None
    tried: tuple[Attempt, ...]
    warnings: tuple[str, ...]
    version: Literal[1] = 1

    @property
    def answer(self) -> Answer[T]:
        return Answer(
            self.data, self.source, self.fetched_at, self.latency_ms, self.tried, self.warnings
        )


class AnswerCodec(Generic[Q, T]):
    """Encodes to JSON; decoding validates it like a provider's payload, with the models' bounds.

    Encoding takes 0.4 ms for 250 coins, 0.7 ms for 1,000 candles and 6 ms for 2,000 articles, the
    most that the news store keeps. It is one native call, so a thread would not help. The adapters
    are built at their first use, as no answer waits for them: those of all categories take 20 ms.
    """

    def __init__(self, kept: type[KeptAnswer[Q, T]]) -> None:
        self._kept = kept

    @cached_property
    def _adapter(self) -> TypeAdapter[KeptAnswer[Q, T]]:
        return TypeAdapter(self._kept)

    @cached_property
    def _query(self) -> TypeAdapter[Q]:
        return TypeAdapter(get_args(self._kept)[0])

    def encoded(self, query: Q, answer: Answer[T]) -> bytes:
        """Raises ValueError if JSON cannot represent it."""
        kept = KeptAnswer(
            query,
            answer.data,
            answer.source,
            answer.fetched_at,
            answer.latency_ms,
            answer.tried,
            answer.warnings,
        )
        return self._adapter.dump_json(kept)

    def encoded_query(self, query: Q) -> bytes:
        return self._query.dump_json(query)

    def decoded_query(self, body: bytes) -> Q | None:
        """None if it is malformed or of another version."""
        try:
            return self._query.validate_json(body)
        except ValidationError:
            return None

    def decoded(self, body: bytes) -> KeptAnswer[Q, T] | None:
        """None if it is malformed or of another version."""
        try:
            return self._adapter.validate_json(body)
        except ValidationError:
            return None


@dataclass(frozen=True, slots=True)
class Retention(Generic[Q, T]):
    """Which answers of a category are persisted: the `most` newest, each batch of writes at least
    `interval_s` seconds after the one before."""

    category: str
    codec: AnswerCodec[Q, T]
    most: int = 1
    interval_s: float = 0.0
    is_kept: Callable[[Q], bool] = lambda _query: True


class AnswerStore(Generic[Q, T]):
    """Persists the newest answers of one category.

    While there is room, every answer is persisted. After that a query takes the place of the oldest
    one with its second refresh, so that queries asked only once displace nothing and cost no write.
    One task writes; `aclose` ends it.
    """

    def __init__(self, retention: Retention[Q, T], storage: Storage, clock: Clock) -> None:
        self._retention = retention
        self._storage = storage
        self._clock = clock
        #: The queries of the newest answers, and those refreshed without a place among them.
        self._persisted: BoundedMap[Q, bool] = BoundedMap(retention.most)
        self._refreshed: BoundedMap[Q, bool] = BoundedMap(MOST_REFRESHED)
        self._pending: BoundedMap[Q, Answer[T]] = BoundedMap(retention.most)
        self._next_write_at = float("-inf")
        self._closing = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<AnswerStore {self._retention.category} {len(self._pending)} pending>"

    def save(self, query: Q, answer: Answer[T]) -> None:
        """Persists `answer` in the background, unless a newer one comes first."""
        if not self._storage.saves_answers:
            return
        if self._retention.is_kept(query) and self._has_place(query):
            self._persisted.set(query, True)
            self._pending.set(query, answer)
            self._start_writer()

    async def restore(
        self,
        bodies: Mapping[str, bytes],
        import_answer: Callable[[Q, Answer[T]], Awaitable[bool]],
    ) -> None:
        """Passes the answers that an earlier run persisted to `import_answer`, oldest first.

        `import_answer` returns False for an answer that is of no use any more.
        """
        prefix, retention = f"{self._retention.category}/", self._retention
        decoded = (
            retention.codec.decoded(body)
            for question, body in bodies.items()
            if question.startswith(prefix)
        )
        found = [kept for kept in decoded if kept and retention.is_kept(kept.query)]
        found.sort(key=lambda kept: kept.fetched_at)
        for kept in found[-retention.most :]:
            if await import_answer(kept.query, kept.answer):
                self._persisted.set(kept.query, True)

    async def aclose(self) -> None:
        """Writes what is pending, within `CLOSE_S`."""
        self._closing.set()
        writer = self._start_writer()
        await asyncio.wait({writer}, timeout=CLOSE_S)
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)

    def _has_place(self, query: Q) -> bool:
        if query in self._persisted or len(self._persisted) < self._retention.most:
            return True
        is_second = query in self._refreshed
        self._refreshed.set(query, True)
        return is_second

    def _start_writer(self) -> asyncio.Task[None]:
        if self._writer is None or self._writer.done():
            name = f"persist {self._retention.category}"
            self._writer = asyncio.create_task(self._write_pending(), name=name)
        return self._writer

    async def _write_pending(self) -> None:
        """Ends when nothing is pending, or when a write failed: the next answer, or the end of the
        process, tries again."""
        while self._pending:
            await self._wait_for_next_write()
            for _ in range(len(self._pending)):
                query, answer = self._pending.pop_oldest()
                if not await self._write(query, answer):
                    is_newest = query not in self._pending
                    if is_newest and len(self._pending) < self._retention.most:
                        self._pending.set(query, answer)
                    return

    async def _wait_for_next_write(self) -> None:
        wait_s = self._next_write_at - self._clock.monotonic()
        if wait_s > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._closing.wait()
        self._next_write_at = self._clock.monotonic() + self._retention.interval_s

    async def _write(self, query: Q, answer: Answer[T]) -> bool:
        retention = self._retention
        try:
            body = retention.codec.encoded(query, answer)
        except ValueError:  # a bug, which no reader should notice
            log.exception("an answer of %s cannot be persisted", retention.category)
            return True
        question, now_s = f"{retention.category}/{query.subject}", self._clock.now().timestamp()
        return await self._storage.save_answer(question, body, now_s, retention.most)
