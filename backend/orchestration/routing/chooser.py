"""Whom to ask: the providers that could answer, by tier, budget, series and turn. Asks nobody."""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from backend.clock import Clock
from backend.models.answer import Query
from backend.models.status import Refusal
from backend.orchestration.provider import Offer, Provider
from backend.orchestration.routing.rotation import SmoothRotation, weight_of

#: While a whole category cools down, one provider is tried this often, in seconds.
EARLY_PROBE_S = 5.0
REMEMBERED_SERIES = 1_024
KEPT = "its day's or month's budget is kept for later"


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom the manager asks next, and why. `is_early_probe`: probed before its cooldown is over."""

    provider: Provider
    reason: str
    passed_over: tuple[Refusal, ...]
    tier: int = 0
    may_follow: int = 0
    is_early_probe: bool = False


class Chooser:
    """Knows whose turn it is in each tier, and which series is whose."""

    def __init__(self, providers: Sequence[Provider], clock: Clock) -> None:
        self.providers = tuple(providers)
        self._clock = clock
        self._rotations: dict[tuple[str, int], SmoothRotation] = {}
        self._series: OrderedDict[str, str] = OrderedDict()
        self._forced_at: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Chooser {len(self._rotations)} rotations, {len(self._series)} series>"

    def chain(self, category: str) -> tuple[Provider, ...]:
        """All providers of a category, as registered."""
        return tuple(p for p in self.providers if category in p.categories)

    def offers(
        self, query: Query[Any], *, exclude: Collection[str] = ()
    ) -> tuple[dict[Provider, Offer], list[Refusal]]:
        """Who could answer `query` now, and why the others could not."""
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

    def within_budget(
        self, offers: dict[Provider, Offer]
    ) -> tuple[dict[Provider, Offer], tuple[Refusal, ...]]:
        """Of equals those whose budget has it to spare, if anybody's: scarce ones are kept for
        what only they can do. Where it is nobody's, they lend a little."""
        rich = {p: offer for p, offer in offers.items() if offer.budget_wait_s <= 0}
        if not rich:
            return offers, ()
        kept = tuple(
            Refusal(
                p.name,
                "rate_limited",
                self._in_s(offer.budget_wait_s),
                detail=KEPT,
                window="budget",
            )
            for p, offer in offers.items()
            if p not in rich
        )
        return rich, kept

    def pick(
        self,
        query: Query[Any],
        offers: dict[Provider, Offer],
        refusals: tuple[Refusal, ...],
        *,
        takes_turn: bool = True,
    ) -> Choice:
        """One of `offers`, of which there is at least one."""
        rank = min(offer.rank for offer in offers.values())
        tier = rank[1]
        equals = {p: offer for p, offer in offers.items() if offer.rank == rank}
        equals, kept = self.within_budget(equals)
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
        last = [p.name for p, offer in offers.items() if offer.is_flapping and p is not provider]
        if last:
            reason += f"; last comes, as it fails again and again: {', '.join(last)}"
        return Choice(provider, reason, (*refusals, *kept), tier, len(offers) - 1)

    def early_probe(
        self, query: Query[Any], exclude: Collection[str], refusals: tuple[Refusal, ...]
    ) -> Choice | None:
        """While all cool down, an early probe of the one due soonest, every five seconds."""
        now = self._clock.monotonic()
        if now - self._forced_at.get(query.category, -EARLY_PROBE_S) < EARLY_PROBE_S:
            return None
        chain = (p for p in self.chain(query.category) if p.name not in exclude)
        resting = [p for p in chain if isinstance(p.offer(query, is_early_probe=True), Offer)]
        if not resting:
            return None
        self._forced_at[query.category] = now
        soonest = min(resting, key=lambda p: p.retry_at or self._clock.now())
        return Choice(
            soonest,
            "nobody is eligible; of the resting it is due soonest",
            refusals,
            is_early_probe=True,
        )

    def hedge_candidate(
        self, query: Query[Any], first: Choice, exclude: Collection[str]
    ) -> Choice | None:
        """Whom to ask beside a slow first one: only who has calls enough to waste one."""
        offers, _ = self.offers(query, exclude=exclude)
        idle = {p: offer for p, offer in offers.items() if p.allows_hedging(query)}
        if not idle:
            return None
        provider = min(idle, key=lambda p: idle[p].rank)
        reason = f"asked beside {first.provider.name}, which is slow"
        return Choice(provider, reason, (), idle[provider].tier)

    def remember_series(self, query: Query[Any], provider: Provider) -> None:
        """From now on it is asked first for what belongs to the same series."""
        if query.series is None:
            return
        self._series[query.series] = provider.name
        self._series.move_to_end(query.series)
        if len(self._series) > REMEMBERED_SERIES:
            self._series.popitem(last=False)

    def _rotation(self, query: Query[Any], tier: int) -> SmoothRotation:
        return self._rotations.setdefault((query.category, tier), SmoothRotation())

    def _in_s(self, seconds: float) -> datetime:
        return self._clock.now() + timedelta(seconds=seconds)
