"""Asks one provider, or one of its independent hosts, for each of its operations."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from backend.clock import Clock
from backend.errors import NotAffordable, ProviderError
from backend.models.answer import Query
from backend.models.market import QuotesQuery
from backend.models.ohlc import OhlcQuery
from backend.orchestration.calls.endpoint import Endpoint
from backend.providers.adapter import Call, Context, Operation, Reply
from backend.providers.client import parsed
from tests.live.checks import Found, examine, need_same_price
from tests.live.client import WatchedClient
from tests.live.questions import label_of, queries_of
from tests.live.row import FINAL, OK, Row
from tests.live.shapes import shape_of

#: Time-out of a call, and longest wait for a limit of the provider, in seconds.
CALL_S, LONGEST_WAIT_S = 10.0, 65.0
#: A larger share of the bytes that a call allows is noted.
LARGE_SHARE = 0.8
#: Characters of an error that are shown.
LONGEST_TEXT = 160


@dataclass(frozen=True)
class Question:
    """One query to one operation, and the row with its result."""

    operation: Operation
    query: Query[Any]
    row: Row

    @property
    def is_of_market(self) -> bool:
        return isinstance(self.query, QuotesQuery)


@dataclass
class Target:
    """A provider's plan in use, or one of its independent hosts, with the questions to it."""

    provider: str
    name: str
    endpoint: Endpoint
    client: WatchedClient
    clock: Clock
    redact: Callable[[str], str]
    questions: list[Question] = field(init=False)
    #: The outcome after which no further call is made.
    ended_by: str = ""

    def __post_init__(self) -> None:
        self.endpoint = replace(self.endpoint, client=self.client)
        context = self._context("")
        self.questions = [
            Question(operation, query, Row(self.name, label_of(operation, query)))
            for operation in self.endpoint.adapter.operations
            for query in queries_of(operation, context)
        ]

    def rows(self) -> list[Row]:
        """In the order of the operations; one without a query that the plan serves has a note."""
        found = []
        for operation in self.endpoint.adapter.operations:
            rows = [one.row for one in self.questions if one.operation is operation]
            found += rows or [Row(self.name, operation.name, notes=["not part of this plan"])]
        return found

    async def ask(self, *, market: bool, price: float | None) -> None:
        """The questions about the market, or all others. `price` is Bitcoin's in USD."""
        for question in self.questions:
            if question.is_of_market is market:
                await self._ask(question, price)

    async def _ask(self, question: Question, price: float | None) -> None:
        row, query = question.row, question.query
        if self.ended_by:
            row.outcome = self.ended_by
            row.notes.append("not called again")
            return
        if isinstance(query, OhlcQuery) and price is not None:
            query = replace(query, reference_price=price)
        self.client.begin()
        try:
            replies = await self._replies(question.operation, query)
            row.shape = shape_of([reply.payload for reply in replies])
            found = await self._examined(question.operation, query, replies)
        except ProviderError as error:
            row.fail(error, self.redact(in_words(error)))
            self.ended_by = row.outcome if row.outcome in FINAL else ""
        else:
            row.outcome, row.bitcoin = OK, found.bitcoin
            row.rows, row.refused = found.rows, found.refused
            need_same_price(found, price)
            row.problems += found.problems
        row.status, row.ms = self.client.status, self.client.ms
        row.size, row.share = self.client.size, self.client.share
        if row.share > LARGE_SHARE:
            row.notes.append(f"{row.share:.0%} of the largest size")

    async def _replies(self, operation: Operation, query: Query[Any]) -> list[Reply]:
        calls = operation.build(query, self._context(""))
        return [await self._reply(call) for call in calls]

    async def _reply(self, call: Call) -> Reply:
        """Waits while the provider's limits do not allow the call. Raises ProviderError."""
        waited_s = 0.0
        while True:
            try:
                deadline = self.clock.monotonic() + CALL_S
                return await self.endpoint.call(call, deadline, lambda _error, _next: None)
            except NotAffordable as error:
                wait_s = max(error.retry_after_s or LONGEST_WAIT_S, 0.01)
                if waited_s + wait_s > LONGEST_WAIT_S:
                    raise
                waited_s += wait_s
                await asyncio.sleep(wait_s)

    async def _examined(
        self, operation: Operation, query: Query[Any], replies: list[Reply]
    ) -> Found:
        payloads = [reply.payload for reply in replies]
        context = self._context(replies[0].base_url)
        data = await asyncio.to_thread(parsed, operation.parse, query, payloads, context)
        end_ms = query.end_ms if isinstance(query, OhlcQuery) else None
        return examine(data, datetime.fromtimestamp((end_ms or context.now_ms) / 1000, UTC))

    def _context(self, base_url: str) -> Context:
        now_ms = int(self.clock.now().timestamp() * 1000)
        return Context(self.provider, self.endpoint.plan.name, now_ms, base_url)


def in_words(error: ProviderError) -> str:
    """The error and its cause, in one short line."""
    cause: object = error.__cause__
    if isinstance(cause, ValidationError):
        first = cause.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        cause = f"{place}: {first['msg']}".removeprefix(": ")
    text = f"{error}: {cause}" if cause else str(error)
    return " ".join(text.split())[:LONGEST_TEXT]
