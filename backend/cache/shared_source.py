"""A category's source in a cluster: the leader's providers, asked through the leader."""

import asyncio
from typing import Any, Generic

from backend.cache.answer_exchange import AnswerExchange
from backend.clock import Clock
from backend.cluster.contract import Cluster
from backend.errors import SourceUnavailable
from backend.models.answer import Answer, Q, Source, T

#: Interval at which a cold query looks whether somebody leads, in seconds.
POLL_S = 0.05


class SharedSource(Generic[Q, T]):
    """Asks the leader; where there is none, this process's own providers within its share.

    A query for which nothing is cached, and which the share cannot answer, waits for the next
    leader: a takeover takes about a lease.
    """

    def __init__(
        self,
        category: str,
        source: Source[Q, T],
        exchange: AnswerExchange,
        cluster: Cluster,
        *,
        clock: Clock,
        deadline_s: float,
    ) -> None:
        """`source` calls the providers of this process."""
        self._category = category
        self._source = source
        self._exchange = exchange
        self._cluster = cluster
        self._clock = clock
        self._deadline_s = deadline_s

    def __repr__(self) -> str:
        return f"<SharedSource {self._category}>"

    async def fetch(self, query: Q) -> Answer[T]:
        """An answer with a `refresh_id` is cached already. Raises GatewayError."""
        deadline = self._clock.monotonic() + self._deadline_s
        answer: Answer[T] | None = await self._ask(query, deadline)
        return answer or await self._fetch_own(query, deadline)

    async def _fetch_own(self, query: Q, deadline: float) -> Answer[T]:
        """By this process's providers; if they cannot, and a reader waits, by the next leader's."""
        led = self._cluster.leads
        try:
            return await self._source.fetch(query)
        except SourceUnavailable:
            if led and not self._cluster.leads:  # the store refused the call; the share is left
                return await self._fetch_own(query, deadline)
            if not (query.is_urgent and await self._next_leader(deadline)):
                raise
        answer = await self._ask(query, deadline)
        return answer or await self._source.fetch(query)

    async def _ask(self, query: Q, deadline: float) -> Answer[Any] | None:
        """None where no leader is heard."""
        if not self._cluster.hears_leader:
            return None
        return await self._exchange.ask(self._category, query, deadline)

    async def _next_leader(self, deadline: float) -> bool:
        """True when another process or this one leads from now on, before the deadline. The last
        leader may seem to live for a moment after its end."""
        cluster, began = self._cluster, self._clock.monotonic()
        if cluster.leads:
            return False  # it has just been asked
        while cluster.expects_leader and self._clock.monotonic() < deadline:
            if cluster.leads or (cluster.hears_leader and cluster.heard_at > began):
                return True
            await asyncio.sleep(POLL_S)
        return False
