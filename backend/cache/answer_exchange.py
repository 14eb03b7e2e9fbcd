"""The answers that the processes of a cluster share: asked of the leader, pushed to all."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from backend.cache.answer_messages import MessageCodec, Question, Reply
from backend.cache.cached_source import CachedSource
from backend.clock import Clock
from backend.cluster.contract import Cluster
from backend.errors import DeadlineExceeded, GatewayError
from backend.models.answer import Answer, Query

log = logging.getLogger("gateway")

#: A leader that does not confirm a question within this is not waited for, in seconds.
ACK_S = 0.2
#: A question is sent again after this, in seconds: a message may be lost.
ASK_AGAIN_S = 0.6
#: Interval at which a waiting question looks whether the leader is still heard, in seconds.
CHECK_S = 0.05
#: Questions of others that the leader works on at once.
MOST_QUESTIONS = 1_000
#: A shared answer is refreshed this much later than at the leader, in seconds, so that the leader
#: finds the refresh due when it is asked.
REFRESH_LATER_S = 0.25

Key = tuple[str, Query[Any]]


@dataclass(slots=True)
class _Waiting:
    """A question of this process: confirmed at `acked_at` (monotonic seconds)."""

    asked_at: float
    acked_at: float = float("-inf")
    reply: "asyncio.Future[Answer[Any]]" = field(default_factory=asyncio.Future)


class AnswerExchange:
    """Asks the leader, adopts what it pushes, and answers others while this process leads.

    `aclose` ends the questions of others that are under way.
    """

    def __init__(
        self,
        cluster: Cluster,
        codec: MessageCodec,
        cached: Mapping[str, CachedSource[Any, Any]],
        clock: Clock,
        note_read: Callable[[Query[Any]], None] = lambda _query: None,
    ) -> None:
        """`cached` are the cached sources by category; it may be filled later. `note_read` is
        called with each question of another process."""
        self._cluster = cluster
        self._codec = codec
        self._cached = cached
        self._clock = clock
        self._note_read = note_read
        self._waiting: dict[Key, _Waiting] = {}
        self._answering: dict[Key, asyncio.Task[None]] = {}
        self._adopting: set[asyncio.Task[None]] = set()
        #: Seconds that the questions to leaders took, in all, and their number.
        self.asked_s, self.asked = 0.0, 0
        cluster.bus.subscribe("ask", self._on_question)
        cluster.bus.subscribe("answers", self._on_reply)

    def __repr__(self) -> str:
        return f"<AnswerExchange {len(self._waiting)} asked, {len(self._answering)} answering>"

    async def ask(self, category: str, query: Query[Any], deadline: float) -> Answer[Any] | None:
        """The leader's answer, as it is cached here now; None if the leader does not confirm the
        question or is lost. Raises the leader's GatewayError.

        `deadline` is on Clock.monotonic().
        """
        key, began = (category, query), self._clock.monotonic()
        waiting = self._waiting.setdefault(key, _Waiting(began))
        self._send_question(key)
        try:
            return await self._wait(key, waiting, deadline)
        finally:
            self._waiting.pop(key, None)
            waiting.reply.cancel()  # a late reply has nobody to raise its error at
            self.asked, self.asked_s = (
                self.asked + 1,
                self.asked_s + self._clock.monotonic() - began,
            )

    def publish(self, category: str, query: Query[Any]) -> None:
        """Pushes a refreshed answer to all others, if this process leads."""
        if self._cluster.leads and (category, query) not in self._answering:
            self._send_reply(category, query, None)

    async def aclose(self) -> None:
        tasks = [*self._answering.values(), *self._adopting]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self, key: Key, waiting: _Waiting, deadline: float) -> Answer[Any] | None:
        while True:
            done, _ = await asyncio.wait({waiting.reply}, timeout=CHECK_S)
            if done:
                return waiting.reply.result()
            now = self._clock.monotonic()
            if now >= deadline:
                raise DeadlineExceeded("the leader of the cluster has no answer yet")
            is_acked = waiting.acked_at >= waiting.asked_at
            if not self._cluster.hears_leader or (not is_acked and now - waiting.asked_at > ACK_S):
                return None
            if is_acked and now - waiting.asked_at > ASK_AGAIN_S:
                waiting.asked_at = now
                self._send_question(key)

    def _send_question(self, key: Key) -> None:
        category, query = key
        shared = self._cached[category].shared(query)
        held_at = shared.answer.fetched_at.timestamp() if shared else None
        self._cluster.bus.publish("ask", self._codec.question(category, query, held_at))

    def _on_question(self, _sender: str, message: bytes) -> None:
        if not self._cluster.leads:
            return
        question = self._codec.read_question(message)
        if question is None or question.category not in self._cached:
            return
        key = question.category, question.query
        self._note_read(question.query)
        if key not in self._answering:
            if len(self._answering) >= MOST_QUESTIONS:
                return
            name = f"answer to another process: {question.query.subject}"
            task = self._answering[key] = asyncio.create_task(self._answer(question), name=name)
            task.add_done_callback(lambda _task: self._answering.pop(key, None))
        self._cluster.bus.publish("answers", self._codec.ack(*key))

    async def _answer(self, question: Question) -> None:
        category, query = question.category, question.query
        source = self._cached[category]
        error: Exception | None = None
        try:
            answer = await source.fetch_newer(query, question.held_at)
            if answer.stale:
                error = source.failure(query) or DeadlineExceeded("no fresh answer yet")
        except GatewayError as failed:
            error = failed
        except Exception as bug:
            log.exception("a question of another process failed")
            error = bug
        self._send_reply(category, query, error)

    def _send_reply(self, category: str, query: Query[Any], error: Exception | None) -> None:
        shared = self._cached[category].shared(query)
        try:
            message = self._codec.reply(category, query, shared, error)
        except ValueError:  # a bug, which no reader should notice
            log.exception("an answer of %s cannot be sent", category)
            return
        self._cluster.bus.publish("answers", message)

    def _on_reply(self, _sender: str, message: bytes) -> None:
        reply = self._codec.read_reply(message)
        if reply is None or self._cluster.leads or reply.category not in self._cached:
            return
        waiting = self._waiting.get((reply.category, reply.query))
        if reply.is_ack:
            if waiting:
                waiting.acked_at = self._clock.monotonic()
            return
        is_wanted = waiting or reply.query.is_shared
        if is_wanted or self._cached[reply.category].shared(reply.query):
            task = asyncio.create_task(self._adopt(reply, waiting), name="adopt")
            self._adopting.add(task)
            task.add_done_callback(self._adopting.discard)

    async def _adopt(self, reply: Reply, waiting: _Waiting | None) -> None:
        shared, answer = self._codec.read_answer(reply), None
        if shared:
            later = replace(shared, refresh_s=shared.refresh_s + REFRESH_LATER_S)
            answer = await self._cached[reply.category].adopt(reply.query, later)
        if waiting is None or waiting.reply.done():
            return
        if reply.error:
            waiting.reply.set_exception(reply.error)
        elif answer:
            waiting.reply.set_result(answer)
