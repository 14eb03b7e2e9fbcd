"""Has the providers of a category answer: one after the other, a second beside a slow first."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from backend.clock import Clock
from backend.errors import (
    AllProvidersFailed,
    GatewayError,
    NoProviderConfigured,
    NoTimeLeft,
    ProviderError,
    QuotaExhausted,
)
from backend.events import EventSink, ProviderChosen
from backend.models.answer import Answer, Attempt, Query
from backend.models.status import OFF, Refusal
from backend.orchestration.provider import Provider
from backend.orchestration.routing.chooser import Choice, Chooser

T = TypeVar("T")

MOST_ATTEMPTS = 3
#: What an attempt leaves at least for each that may follow it, in seconds.
SLICE_S = 1.0
#: What is left of a reader's deadline to say what became of its request, in seconds.
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
        self._clock = clock
        self._emit = emit
        # Over a little before the readers' own, who then get the precise error and not a 504.
        self._deadline_s = deadline_s - min(ERROR_MARGIN_S, deadline_s / 20)
        self._attempt_timeout_s = attempt_timeout_s
        #: Attempts whose fetch has its answer from another.
        self._late: set[asyncio.Task[Answer[Any]]] = set()

    def __repr__(self) -> str:
        return f"<ProviderManager {list(self.providers)}>"

    @property
    def providers(self) -> tuple[Provider, ...]:
        return self.choosing.providers

    def chain(self, category: str) -> tuple[Provider, ...]:
        """All providers of a category, as registered."""
        return self.choosing.chain(category)

    def standing(self, query: Query[Any]) -> tuple[Provider, ...]:
        """Who could answer `query` now, in the order of tiers; asks nobody, takes no turn."""
        offers, _ = self.choosing.offers(query)
        return tuple(sorted(offers, key=lambda provider: offers[provider].rank))

    def refresh_interval_s(self, query: Query[Any]) -> float:
        """Seconds between refreshes of `query` that can be had for ever: by the provider that
        affords it best, 0 where one has no day's or month's budget to care for."""
        intervals = [provider.interval_s(query) for provider in self.chain(query.category)]
        return min((one for one in intervals if one is not None), default=0.0)

    def get_next_provider(
        self, query: Query[Any], *, exclude: Collection[str] = ()
    ) -> Choice | tuple[Refusal, ...]:
        """Whom to ask now, with the reason; where nobody is left, why not, provider by provider.

        Not a mere question: it takes a turn of the rotation, or the category's early probe of
        five seconds, and is logged. Names in `exclude` were tried already.
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
        failed: dict[Attempt, Refusal] = {}
        while len(failed) < MOST_ATTEMPTS:
            choice = self.get_next_provider(query, exclude=[tried.provider for tried in failed])
            if not isinstance(choice, Choice):
                raise unavailable(query, failed, choice)
            # No await stands between the choice and the lease that fetch() takes.
            if deadline <= self._clock.monotonic():
                raise unavailable(query, failed, _too_late(choice))
            if query.is_urgent and self._may_hedge(choice):
                answer = await self._hedged_attempt(choice, query, deadline, failed)
            else:
                answer = await self._attempt(choice, query, deadline, failed)
            if answer:
                return replace(answer, tried=(*failed, *answer.tried))
        raise unavailable(query, failed)

    fetch = fetch_data

    def explain(self, query: Query[Any]) -> tuple[Choice | None, tuple[Refusal, ...]]:
        """Whom it would choose now and why, and why not the others. Takes no turn, asks nobody."""
        offers, refusals = self.choosing.offers(query)
        if not offers:
            return None, tuple(refusals)
        choice = self.choosing.pick(query, offers, tuple(refusals), takes_turn=False)
        return choice, choice.passed_over

    async def aclose(self) -> None:
        """Ends the attempts that nobody waits for."""
        late = list(self._late)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _may_hedge(self, choice: Choice) -> bool:
        return choice.may_follow > 0 and choice.provider.usual_s < self._attempt_timeout_s

    async def _attempt(
        self, choice: Choice, query: Query[T], deadline: float, failed: dict[Attempt, Refusal]
    ) -> Answer[T] | None:
        """One provider's try; what it failed for is added to `failed`."""
        try:
            answer = await self._ask(choice, query, deadline, len(failed))
        except ProviderError as error:
            failed[error.attempt] = error.refusal
            return None
        self.choosing.remember_series(query, choice.provider)
        return answer

    async def _hedged_attempt(
        self, first: Choice, query: Query[T], deadline: float, failed: dict[Attempt, Refusal]
    ) -> Answer[T] | None:
        """As an attempt; but once it has used its usual time, another is asked beside it."""
        exclude = [first.provider.name, *(tried.provider for tried in failed)]
        running = {self._begin(first, query, deadline, len(failed)): first}
        try:
            done, _ = await asyncio.wait(running, timeout=first.provider.usual_s)
            if not done and (second := self.choosing.hedge_candidate(query, first, exclude)):
                self._note(query, second, ())
                running[self._begin(second, query, deadline, MOST_ATTEMPTS)] = second
            return await self._first_of(running, query, failed)
        finally:
            for task in running:  # only where nobody waits any more
                task.cancel()

    async def _first_of(
        self,
        running: dict[asyncio.Task[Answer[T]], Choice],
        query: Query[T],
        failed: dict[Attempt, Refusal],
    ) -> Answer[T] | None:
        """The first good answer, with the other one to come; None when all failed."""
        while running:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=lambda task: task.exception() is None):  # failures first
                choice = running.pop(task)
                try:
                    answer = task.result()
                except ProviderError as error:
                    failed[error.attempt] = error.refusal
                    continue
                self.choosing.remember_series(query, choice.provider)
                return self._with_late(answer, choice, query, running)
        return None

    def _with_late(
        self,
        answer: Answer[T],
        choice: Choice,
        query: Query[T],
        running: dict[asyncio.Task[Answer[T]], Choice],
    ) -> Answer[T]:
        """What is under way is paid for: it comes later, if it is as good as what won."""
        if not running:
            return answer
        task, loser = running.popitem()
        self._late.add(task)
        task.add_done_callback(self._forget)
        if loser.tier > choice.tier:
            return answer

        async def later() -> Answer[T]:
            late = await asyncio.shield(task)
            self.choosing.remember_series(query, loser.provider)
            return replace(late, tried=(*answer.tried, *late.tried))

        return replace(answer, late_answer=later)

    def _forget(self, task: asyncio.Task[Answer[Any]]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # seen: its provider's health has it, and nobody else cares

    def _begin(
        self, choice: Choice, query: Query[T], deadline: float, tried: int
    ) -> asyncio.Task[Answer[T]]:
        name = f"{choice.provider.name} for {query.subject}"
        return asyncio.create_task(self._ask(choice, query, deadline, tried), name=name)

    async def _ask(self, choice: Choice, query: Query[T], deadline: float, tried: int) -> Answer[T]:
        """One provider's try, within a slice that leaves time for those that may follow."""
        left_s = deadline - self._clock.monotonic()
        followers = max(0, min(choice.may_follow, MOST_ATTEMPTS - tried - 1))
        reserve_s = followers * min(SLICE_S, left_s / (followers + 1))
        timeout_s = min(self._attempt_timeout_s, left_s - reserve_s)
        answer = await choice.provider.fetch(query, timeout_s, is_early_probe=choice.is_early_probe)
        return replace(answer, tried=(Attempt(choice.provider.name, "ok", answer.latency_ms),))

    def _note(self, query: Query[Any], choice: Choice | None, refusals: Sequence[Refusal]) -> None:
        self._emit(
            ProviderChosen(
                self._clock.now(),
                query.category,
                choice.provider.name if choice else None,
                choice.reason if choice else "nobody is eligible",
                choice.passed_over if choice else tuple(refusals),
            )
        )


def unavailable(
    query: Query[Any], failed: Mapping[Attempt, Refusal], not_asked: Sequence[Refusal] = ()
) -> GatewayError:
    """The precise error: every provider's reason and the soonest retry."""
    detail = f"no provider could answer for {query.subject}"
    refusals = [*failed.values(), *not_asked]
    reasons = {refusal.reason for refusal in refusals}
    if reasons <= set(OFF):
        return NoProviderConfigured(f"no provider is configured for {query.subject}", refusals)
    able = reasons - {*OFF, "unsupported"}
    kind = QuotaExhausted if able == {"quota_exhausted"} else AllProvidersFailed
    return kind(detail, refusals, tuple(failed))


def _too_late(choice: Choice) -> tuple[Refusal, ...]:
    return Refusal(choice.provider.name, NoTimeLeft.reason), *choice.passed_over
