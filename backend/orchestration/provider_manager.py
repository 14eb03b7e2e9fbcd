"""Asks the providers of a category one after the other; a slow one may be hedged by a second."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from backend.clock import Clock
from backend.errors import (
    AllProvidersFailed,
    GatewayError,
    NoProviderConfigured,
    NoTimeLeft,
    ProviderError,
    QuotaExhausted,
)
from backend.events import EventSink
from backend.models.answer import Answer, Attempt, Query, T
from backend.models.status import OFF, ProviderChosen, Refusal
from backend.orchestration.provider import Provider
from backend.orchestration.routing import Choice, Chooser

#: Providers that one fetch asks at most: all that a category has. Each failure takes its provider
#: out, so that the next fetch asks fewer.
MAX_ATTEMPTS = 8
#: Attempts for which time is reserved; those after them follow only failures that took little time.
TIMED_ATTEMPTS = 3
#: Time that an attempt leaves at least to each attempt that may follow it, in seconds.
MIN_ATTEMPT_S = 1.0
#: The manager gives up this long before the readers' deadline, in seconds, so that they receive
#: the precise error instead of a 504.
ERROR_MARGIN_S = 0.1


class ProviderManager:
    """The source over all providers of the gateway."""

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        clock: Clock,
        emit: EventSink,
        deadline_s: float,
        attempt_timeout_s: float,
    ) -> None:
        self.choosing = Chooser(providers, clock)
        self.providers = self.choosing.providers
        self._clock = clock
        self._emit = emit
        self._deadline_s = deadline_s - min(ERROR_MARGIN_S, deadline_s / 20)
        self._attempt_timeout_s = attempt_timeout_s
        #: Hedged attempts that go on although another provider has answered.
        self._late: set[asyncio.Task[Answer[Any]]] = set()

    def __repr__(self) -> str:
        return f"<ProviderManager {list(self.providers)}>"

    def chain(self, category: str) -> tuple[Provider, ...]:
        """All providers of a category, in the order of the registry."""
        return self.choosing.chain(category)

    def eligible(self, query: Query[Any]) -> tuple[Provider, ...]:
        """The providers that could answer `query` now, best tier first. Takes no turn."""
        offers, _ = self.choosing.offers(query)
        return tuple(offer.provider for offer in sorted(offers, key=lambda offer: offer.rank))

    def able(self, query: Query[Any]) -> tuple[Provider, ...]:
        """The providers that are in a state to answer `query`, whatever their limits allow now,
        best tier first."""
        ranks = {provider: provider.rank_for(query) for provider in self.chain(query.category)}
        ranked = [(rank, provider) for provider, rank in ranks.items() if rank is not None]
        return tuple(provider for _, provider in sorted(ranked, key=lambda one: one[0]))

    def refresh_interval_s(self, query: Query[Any]) -> float:
        """Seconds between refreshes of `query` that the providers that are asked first can afford
        for ever; 0 where one of them has no daily or monthly budget."""
        ranks = {provider: provider.rank_for(query) for provider in self.chain(query.category)}
        best = min((rank for rank in ranks.values() if rank is not None), default=None)
        intervals = [one.interval_s(query) for one, rank in ranks.items() if rank == best]
        return min((one for one in intervals if one is not None), default=0.0)

    def get_next_provider(
        self, query: Query[Any], *, exclude: Collection[str] = ()
    ) -> Choice | tuple[Refusal, ...]:
        """The provider to ask now, with the reason; where none is left, each one's refusal.

        This takes a turn of the rotation, or the category's early probe, and is logged. Names in
        `exclude` were tried already.
        """
        offers, refusals = self.choosing.offers(query, exclude=exclude)
        choice = (
            self.choosing.pick(query, offers, tuple(refusals))
            if offers
            else self.choosing.early_probe(query, exclude, tuple(refusals))
        )
        self._note(query, choice, refusals)
        return choice or tuple(refusals)

    async def fetch_data(self, query: Query[T]) -> Answer[T]:
        """The first good answer. Raises SourceUnavailable."""
        deadline = self._clock.monotonic() + self._deadline_s
        failed: list[ProviderError] = []
        while len(failed) < MAX_ATTEMPTS:
            choice = self.get_next_provider(
                query, exclude=[error.attempt.provider for error in failed]
            )
            if not isinstance(choice, Choice):
                raise unavailable(query, failed, choice)
            # No await stands between the choice and the lease that Provider.fetch() takes.
            if deadline <= self._clock.monotonic():
                late = Refusal(choice.provider.name, NoTimeLeft.reason)
                raise unavailable(query, failed, (late, *choice.passed_over))
            has_time_to_hedge = choice.provider.usual_s < self._attempt_timeout_s
            is_hedged = query.is_urgent and choice.others > 0 and has_time_to_hedge
            attempt = self._hedged_attempt if is_hedged else self._attempt
            answer = await attempt(choice, query, deadline, failed)
            if answer:
                return replace(answer, tried=(*(error.attempt for error in failed), *answer.tried))
        raise unavailable(query, failed)

    fetch = fetch_data

    def explain(self, query: Query[Any]) -> tuple[Choice | None, tuple[Refusal, ...]]:
        """The choice that would be made now, and why not the others. Takes no turn."""
        offers, refusals = self.choosing.offers(query)
        if not offers:
            return None, tuple(refusals)
        choice = self.choosing.pick(query, offers, tuple(refusals), takes_turn=False)
        return choice, choice.passed_over

    async def aclose(self) -> None:
        """Cancels the attempts whose fetch has ended."""
        late = list(self._late)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _attempt(
        self, choice: Choice, query: Query[T], deadline: float, failed: list[ProviderError]
    ) -> Answer[T] | None:
        """Asks one provider; None, and its error in `failed`, where it does not answer."""
        timeout_s = self._timeout_s(choice, deadline, len(failed))
        try:
            answer = await choice.provider.fetch(query, timeout_s, offer=choice.offer)
        except ProviderError as error:
            failed.append(error)
            return None
        return self._accept(answer, choice, query)

    async def _hedged_attempt(
        self, first: Choice, query: Query[T], deadline: float, failed: list[ProviderError]
    ) -> Answer[T] | None:
        """As `_attempt`; when the provider takes longer than usual, another is asked beside it."""
        exclude = [first.provider.name, *(error.attempt.provider for error in failed)]
        running = {self._begin(first, query, deadline, len(failed)): first}
        try:
            done, _ = await asyncio.wait(running, timeout=first.provider.usual_s)
            if not done and (second := self.choosing.hedge_candidate(query, first, exclude)):
                self._note(query, second, ())
                running[self._begin(second, query, deadline, len(failed) + 1)] = second
            return await self._first_of(running, query, failed)
        finally:
            for task in running:  # left over only when this fetch was cancelled
                task.cancel()

    async def _first_of(
        self,
        running: dict[asyncio.Task[Answer[T]], Choice],
        query: Query[T],
        failed: list[ProviderError],
    ) -> Answer[T] | None:
        """The first good answer, with the slower one to come; None when all failed."""
        while running:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=lambda task: task.exception() is None):  # failures first
                choice = running.pop(task)
                try:
                    answer = self._accept(task.result(), choice, query)
                except ProviderError as error:
                    failed.append(error)
                    continue
                return self._with_late_answer(answer, choice, query, running)
        return None

    def _with_late_answer(
        self,
        answer: Answer[T],
        choice: Choice,
        query: Query[T],
        running: dict[asyncio.Task[Answer[T]], Choice],
    ) -> Answer[T]:
        """The slower attempt is paid for: its answer is used later, unless its tier is worse."""
        if not running:
            return answer
        task, slower = running.popitem()
        self._late.add(task)
        task.add_done_callback(self._forget)
        if slower.offer.tier > choice.offer.tier:
            return answer

        async def late_answer() -> Answer[T]:
            late = self._accept(await asyncio.shield(task), slower, query)
            return replace(late, tried=(*answer.tried, *late.tried))

        return replace(answer, late_answer=late_answer)

    def _forget(self, task: asyncio.Task[Answer[Any]]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as retrieved: the provider's health has recorded it

    def _begin(
        self, choice: Choice, query: Query[T], deadline: float, tried: int
    ) -> asyncio.Task[Answer[T]]:
        fetch = choice.provider.fetch(
            query, self._timeout_s(choice, deadline, tried), offer=choice.offer
        )
        return asyncio.create_task(fetch, name=f"{choice.provider.name} for {query.subject}")

    def _timeout_s(self, choice: Choice, deadline: float, tried: int) -> float:
        """Seconds for one attempt: it leaves time for the attempts that may follow."""
        left_s = deadline - self._clock.monotonic()
        followers = max(0, min(choice.others, TIMED_ATTEMPTS - tried - 1))
        reserve_s = followers * min(MIN_ATTEMPT_S, left_s / (followers + 1))
        return min(self._attempt_timeout_s, left_s - reserve_s)

    def _accept(self, answer: Answer[T], choice: Choice, query: Query[T]) -> Answer[T]:
        self.choosing.remember_series(query, choice.provider)
        return replace(answer, tried=(Attempt(choice.provider.name, "ok", answer.latency_ms),))

    def _note(self, query: Query[Any], choice: Choice | None, refusals: Sequence[Refusal]) -> None:
        self._emit(
            ProviderChosen(
                self._clock.now(),
                query.category,
                choice.provider.name if choice else None,
                choice.reason if choice else "no provider is eligible",
                choice.passed_over if choice else tuple(refusals),
            )
        )


def unavailable(
    query: Query[Any], failed: Sequence[ProviderError], not_asked: Sequence[Refusal] = ()
) -> GatewayError:
    """The precise error, with every provider's reason and the earliest retry."""
    refusals = [*(error.refusal for error in failed), *not_asked]
    attempts = tuple(error.attempt for error in failed)
    reasons = {refusal.reason for refusal in refusals}
    if reasons <= set(OFF):
        return NoProviderConfigured(f"no provider is configured for {query.subject}", refusals)
    able = reasons - {*OFF, "unsupported"}
    kind = QuotaExhausted if able == {"quota_exhausted"} else AllProvidersFailed
    return kind(f"no provider could answer for {query.subject}", refusals, attempts)
