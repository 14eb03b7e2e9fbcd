"""Asks every provider of a category at once, for answers that are merged and not chosen from."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from backend.clock import Clock
from backend.errors import ProviderError
from backend.events import EventSink, ProviderChosen
from backend.models.answer import Answer, Attempt, Query
from backend.models.status import OFF, Refusal
from backend.orchestration.provider import Provider
from backend.orchestration.provider_manager import ProviderManager, unavailable

T = TypeVar("T")
Failed = tuple[Attempt, Refusal]


class FanOut:
    """The source of all answers together: of each provider that can afford a call now."""

    def __init__(
        self, manager: ProviderManager, *, clock: Clock, emit: EventSink, timeout_s: float
    ) -> None:
        self._manager = manager
        self._clock = clock
        self._emit = emit
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"<FanOut {self._manager!r}>"

    async def fetch(self, query: Query[T]) -> Answer[tuple[Answer[T], ...]]:
        """At least one answer. Raises SourceUnavailable when there is none.

        `tried` names everybody who was asked; `latency_ms` is that of the slowest.
        """
        offers, refusals = self._manager.choosing.offers(query)
        asked, kept = self._manager.choosing.within_budget(offers)
        refusals += kept
        if not asked:  # the manager knows the precise error, and when a probe may go early
            answer = await self._manager.fetch_data(query)
            return replace(answer.carrying((answer,)), source=answer.sources)
        self._note(query, asked, refusals)
        results = await asyncio.gather(*(self._attempt(provider, query) for provider in asked))
        answers = tuple(result for result in results if isinstance(result, Answer))
        if not answers:
            failed = dict(result for result in results if isinstance(result, tuple))
            raise unavailable(query, failed, refusals)
        tried = [_attempt_of(result) for result in results]
        return self._together(answers, tried, _not_asked(refusals))

    async def _attempt(self, provider: Provider, query: Query[T]) -> Answer[T] | Failed:
        try:
            return await provider.fetch(query, self._timeout_s)
        except ProviderError as error:
            return error.attempt, error.refusal

    def _together(
        self, answers: tuple[Answer[T], ...], tried: list[Attempt], warnings: tuple[str, ...]
    ) -> Answer[tuple[Answer[T], ...]]:
        return Answer(
            answers,
            tuple(name for answer in answers for name in answer.sources),
            self._clock.now(),
            max(attempt.latency_ms or 0.0 for attempt in tried),
            tuple(tried),
            warnings,
        )

    def _note(
        self, query: Query[Any], asked: Collection[Provider], refusals: Sequence[Refusal]
    ) -> None:
        over = tuple(refusals)
        for provider in asked:
            reason = f"asked together with {len(asked) - 1} others"
            self._emit(
                ProviderChosen(self._clock.now(), query.category, provider.name, reason, over)
            )


def _not_asked(refusals: Sequence[Refusal]) -> tuple[str, ...]:
    """Who is out for now; those that are off by the settings are not worth a word each time."""
    out = [refusal for refusal in refusals if refusal.reason not in OFF]
    return tuple(f"{refusal.provider} was not asked: {refusal.reason}" for refusal in out)


def _attempt_of(result: Answer[Any] | Failed) -> Attempt:
    if isinstance(result, tuple):
        return result[0]
    return Attempt(result.sources[0], "ok", result.latency_ms)
