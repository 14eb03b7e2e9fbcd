"""Asks all providers of a category at once, for answers that are merged."""

import asyncio
from dataclasses import dataclass, replace

from backend.clock import Clock
from backend.errors import ProviderError
from backend.events import EventSink
from backend.models.answer import Answer, Attempt, Query, T
from backend.models.status import OFF, ProviderChosen
from backend.orchestration.provider import Offer
from backend.orchestration.provider_manager import ProviderManager, unavailable


@dataclass(frozen=True, slots=True)
class FanOut:
    """A source that asks each provider that can afford a call now, and returns all answers."""

    manager: ProviderManager
    clock: Clock
    emit: EventSink
    timeout_s: float

    def __repr__(self) -> str:
        return f"<FanOut {self.manager!r}>"

    async def fetch(self, query: Query[T]) -> Answer[tuple[Answer[T], ...]]:
        """At least one answer. Raises SourceUnavailable when there is none.

        `tried` names every provider that was asked; `latency_ms` is that of the slowest.
        """
        all_offers, refusals = self.manager.choosing.offers(query)
        offers, over_budget = self.manager.choosing.within_budget(all_offers)
        refusals += over_budget
        if not offers:  # the manager knows the precise error, and when an early probe is due
            answer = await self.manager.fetch_data(query)
            return replace(answer.carrying((answer,)), source=answer.sources)
        now, over = self.clock.now(), tuple(refusals)
        reason = f"asked together with {len(offers) - 1} others"
        for offer in offers:
            self.emit(ProviderChosen(now, query.category, offer.provider.name, reason, over))
        results = await asyncio.gather(*(self._attempt(offer, query) for offer in offers))
        answers = tuple(result for result in results if isinstance(result, Answer))
        if not answers:
            failed = [result for result in results if isinstance(result, ProviderError)]
            raise unavailable(query, failed, refusals)
        tried = tuple(
            result.attempt
            if isinstance(result, ProviderError)
            else Attempt(result.sources[0], "ok", result.latency_ms)
            for result in results
        )
        # Providers that are switched off are no news.
        out = [refusal for refusal in refusals if refusal.reason not in OFF]
        return Answer(
            answers,
            tuple(name for answer in answers for name in answer.sources),
            self.clock.now(),
            max(attempt.latency_ms or 0.0 for attempt in tried),
            tried,
            tuple(f"{one.provider} was not asked: {one.reason}" for one in out),
        )

    async def _attempt(self, offer: Offer, query: Query[T]) -> Answer[T] | ProviderError:
        try:
            return await offer.provider.fetch(query, self.timeout_s, offer=offer)
        except ProviderError as error:
            return error
