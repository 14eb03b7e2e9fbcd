"""Chooses among the providers of a category, and goes on to the next when one fails."""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from backend.clock import Clock
from backend.errors import (
    AllProvidersFailed,
    GatewayError,
    NoProviderConfigured,
    NoTimeLeft,
    ProviderError,
    QuotaExhausted,
    Refusal,
)
from backend.events import EventSink, PassedOver, ProviderChosen
from backend.models.answer import Answer, Attempt, Query
from backend.orchestration.circuit_breaker import OFF
from backend.orchestration.provider import Offer, Provider
from backend.orchestration.rotation import SmoothRotation, weight_of

T = TypeVar("T")

MOST_ATTEMPTS = 3
#: What an attempt leaves at least for each that may follow it, in seconds.
SLICE_S = 1.0
#: What is left of a reader's deadline to say what became of its request, in seconds.
LAST_WORD_S = 0.1
#: While a whole category cools down, one provider is tried this often, in seconds.
FORCED_PROBE_S = 5.0
REMEMBERED_SERIES = 1_024
KEPT = "its day's or month's budget is kept for later"


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom the manager asks next, and why. `forced`: probed before its cooldown is over."""

    provider: Provider
    reason: str
    passed_over: tuple[Refusal, ...]
    may_follow: int = 0
    forced: bool = False


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
        self.providers = tuple(providers)
        self._clock = clock
        self._emit = emit
        # Over a little before the readers' own, who then get the precise error and not a 504.
        self._deadline_s = deadline_s - min(LAST_WORD_S, deadline_s / 20)
        self._attempt_timeout_s = attempt_timeout_s
        self._rotations: dict[tuple[str, int], SmoothRotation] = {}
        self._series: OrderedDict[str, str] = OrderedDict()
        self._forced_at: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<ProviderManager {list(self.providers)}>"

    def chain(self, category: str) -> tuple[Provider, ...]:
        """All providers of a category, as registered."""
        return tuple(p for p in self.providers if category in p.categories)

    def standing(self, query: Query[Any]) -> tuple[Provider, ...]:
        """Who could answer `query` now, in the order of tiers; asks nobody, takes no turn."""
        offers, _ = self.offers(query)
        return tuple(sorted(offers, key=lambda provider: offers[provider].tier))

    def offers(
        self, query: Query[Any], *, exclude: Collection[str] = ()
    ) -> tuple[dict[Provider, Offer], list[Refusal]]:
        """Who could answer `query` now, and why the others could not; asks nobody."""
        offers: dict[Provider, Offer] = {}
        refusals: list[Refusal] = []
        for provider in self.chain(query.category):
            if provider.name in exclude:
                continue
            offer = provider.offer(query)
            if isinstance(offer, Offer):
                offers[provider] = offer
            else:
                refusals.append(offer)
        return offers, refusals

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
        offers, refusals = self.offers(query, exclude=exclude)
        choice = (
            self._pick(query, offers, tuple(refusals))
            if offers
            else self._force(query, exclude, tuple(refusals))
        )
        self._note(query, choice, refusals)
        return choice or tuple(refusals)

    async def fetch_data(self, query: Query[T]) -> Answer[T]:
        """The first good answer. Raises SourceUnavailable."""
        deadline = self._clock.monotonic() + self._deadline_s
        failed: list[Refusal] = []
        while len(failed) < MOST_ATTEMPTS:
            choice = self.get_next_provider(query, exclude=[f.provider for f in failed])
            if not isinstance(choice, Choice):
                raise self._unavailable(query, [*failed, *choice])
            # No await stands between the choice and the lease that fetch() takes.
            left_s = deadline - self._clock.monotonic()
            if left_s <= 0:
                raise self._unavailable(query, [*failed, *_too_late(choice)])
            try:
                answer = await self._attempt(choice, query, left_s, len(failed))
            except ProviderError as error:
                failed.append(choice.provider.refusal(error))
            else:
                self._remember_series(query, choice.provider)
                return replace(answer, tried=(*map(attempt_of, failed), *answer.tried))
        raise self._unavailable(query, failed)

    fetch = fetch_data

    async def _attempt(
        self, choice: Choice, query: Query[T], left_s: float, tried: int
    ) -> Answer[T]:
        """One provider's try, within a slice that leaves time for those that may follow."""
        followers = min(choice.may_follow, MOST_ATTEMPTS - tried - 1)
        reserve_s = followers * min(SLICE_S, left_s / (followers + 1))
        timeout_s = min(self._attempt_timeout_s, left_s - reserve_s)
        answer = await choice.provider.fetch(query, timeout_s, forced=choice.forced)
        return replace(answer, tried=(Attempt(choice.provider.name, "ok", answer.latency_ms),))

    def explain(self, query: Query[Any]) -> tuple[Choice | None, tuple[Refusal, ...]]:
        """Whom it would choose now and why, and why not the others. Takes no turn, asks nobody."""
        offers, refusals = self.offers(query)
        if not offers:
            return None, tuple(refusals)
        choice = self._pick(query, offers, tuple(refusals), takes_turn=False)
        return choice, choice.passed_over

    def _pick(
        self,
        query: Query[Any],
        offers: dict[Provider, Offer],
        refusals: tuple[Refusal, ...],
        *,
        takes_turn: bool = True,
    ) -> Choice:
        tier = min(offer.tier for offer in offers.values())
        equals = {p: offer for p, offer in offers.items() if offer.tier == tier}
        equals, kept = self.with_credit(equals)
        rivals = {p.name: p for p in equals}
        keeper = rivals.get(self._series.get(query.series or "", ""))
        if len(rivals) == 1:
            provider = next(iter(rivals.values()))
            reason = f"the only eligible one of tier {tier}"
        elif keeper:
            provider, reason = keeper, "keeps its series"
        else:
            weights = {p.name: weight_of(offers[p].headroom) for p in rivals.values()}
            rotation = self._rotation(query, tier)
            name = rotation.pick(weights) if takes_turn else rotation.peek(weights)
            provider = rivals[name]
            reason = f"its turn in tier {tier}, weight {weights[name]:.2f}"
        return Choice(provider, reason, (*refusals, *kept), may_follow=len(offers) - 1)

    def with_credit(
        self, offers: dict[Provider, Offer]
    ) -> tuple[dict[Provider, Offer], tuple[Refusal, ...]]:
        """Of equals those whose budget has it to spare, if anybody's: scarce ones are kept for
        what only they can do. Where it is nobody's, they lend a little."""
        rich = {p: offer for p, offer in offers.items() if offer.credit_wait_s <= 0}
        if not rich:
            return offers, ()
        kept = tuple(
            Refusal(
                p.name,
                "rate_limited",
                self._in_s(offer.credit_wait_s),
                detail=KEPT,
                window="budget",
            )
            for p, offer in offers.items()
            if p not in rich
        )
        return rich, kept

    def _in_s(self, seconds: float) -> datetime:
        return self._clock.now() + timedelta(seconds=seconds)

    def _force(
        self, query: Query[Any], exclude: Collection[str], refusals: tuple[Refusal, ...]
    ) -> Choice | None:
        """While all cool down, an early probe of the one due soonest, every five seconds."""
        now = self._clock.monotonic()
        if now - self._forced_at.get(query.category, -FORCED_PROBE_S) < FORCED_PROBE_S:
            return None
        chain = (p for p in self.chain(query.category) if p.name not in exclude)
        resting = [p for p in chain if isinstance(p.offer(query, forced=True), Offer)]
        if not resting:
            return None
        self._forced_at[query.category] = now
        soonest = min(resting, key=lambda p: p.retry_at or self._clock.now())
        return Choice(
            soonest,
            "nobody is eligible; of the resting it is due soonest",
            refusals,
            forced=True,
        )

    def _rotation(self, query: Query[Any], tier: int) -> SmoothRotation:
        return self._rotations.setdefault((query.category, tier), SmoothRotation())

    def _remember_series(self, query: Query[Any], provider: Provider) -> None:
        if query.series is None:
            return
        self._series[query.series] = provider.name
        self._series.move_to_end(query.series)
        if len(self._series) > REMEMBERED_SERIES:
            self._series.popitem(last=False)

    def _note(self, query: Query[Any], choice: Choice | None, refusals: Sequence[Refusal]) -> None:
        self._emit(
            ProviderChosen(
                self._clock.now(),
                query.category,
                choice.provider.name if choice else None,
                choice.reason if choice else "nobody is eligible",
                passed_over(choice.passed_over if choice else refusals),
            )
        )

    def _unavailable(self, query: Query[Any], refusals: Sequence[Refusal]) -> GatewayError:
        """The precise error: every provider's reason and the soonest retry."""
        detail = f"no provider could answer for {query.subject}"
        reasons = {refusal.reason for refusal in refusals}
        if reasons <= set(OFF):
            return NoProviderConfigured(f"no provider is configured for {query.subject}", refusals)
        able = reasons - {*OFF, "unsupported"}
        kind = QuotaExhausted if able == {"quota_exhausted"} else AllProvidersFailed
        return kind(detail, refusals)


def _too_late(choice: Choice) -> tuple[Refusal, ...]:
    return Refusal(choice.provider.name, NoTimeLeft.reason), *choice.passed_over


def attempt_of(refusal: Refusal) -> Attempt:
    return Attempt(refusal.provider, refusal.reason, refusal.latency_ms)


def passed_over(refusals: Sequence[Refusal]) -> tuple[PassedOver, ...]:
    """Refusals as an event tells them."""
    return tuple(PassedOver(r.provider, r.reason, r.retry_at, r.window) for r in refusals)
