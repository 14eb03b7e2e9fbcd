"""Chooses the provider that is asked next: by tier, budget, series and rotation. No I/O."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from backend.bounded_map import BoundedMap
from backend.clock import Clock
from backend.models.answer import Query
from backend.models.status import Refusal
from backend.orchestration.provider import NO_OPERATION, Offer, Provider

#: While all providers of a category cool down, one is probed early this often, in seconds.
EARLY_PROBE_S = 5.0
#: Series whose last provider is remembered.
MAX_SERIES = 1_024
#: Headroom (remaining share of the limits) at or below which a provider has the least weight.
LOW_HEADROOM = 0.2
MIN_WEIGHT = 0.1
BUDGET_RESERVED = "its daily or monthly budget is reserved"


@dataclass(frozen=True, slots=True)
class Choice:
    """The offer that is taken next, the reason, and why the other providers were passed over.

    `others`: number of other offers, which may follow if this one fails.
    """

    offer: Offer
    reason: str
    passed_over: tuple[Refusal, ...]
    others: int = 0

    @property
    def provider(self) -> Provider:
        return self.offer.provider


def weight_of(headroom: float) -> float:
    """1 with all limits unused, falling linearly to 0.1 at a fifth of them."""
    share = (min(1.0, headroom) - LOW_HEADROOM) / (1 - LOW_HEADROOM)
    return MIN_WEIGHT + (1 - MIN_WEIGHT) * max(0.0, share)


class SmoothRotation:
    """Smooth weighted round robin: spreads turns by weight without bursts (nginx's algorithm). The
    names may change."""

    def __init__(self) -> None:
        self._credit: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<SmoothRotation {self._credit}>"

    def peek(self, weights: Mapping[str, float]) -> str:
        """The next name, without taking its turn. Raises ValueError when `weights` is empty."""
        return max(weights, key=lambda name: self._credit.get(name, 0.0) + weights[name])

    def pick(self, weights: Mapping[str, float]) -> str:
        """As `peek`; takes the turn."""
        chosen = self.peek(weights)
        for name, weight in weights.items():
            self._credit[name] = self._credit.get(name, 0.0) + weight
        self._credit[chosen] -= sum(weights.values())
        return chosen


class Chooser:
    """Keeps the rotation of each tier, and the last provider of each series."""

    def __init__(self, providers: Sequence[Provider], clock: Clock) -> None:
        self.providers = tuple(providers)
        self._clock = clock
        self._rotations: dict[tuple[str, int], SmoothRotation] = {}
        self._series = BoundedMap[str, str](MAX_SERIES)
        self._probed_early_at: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Chooser {len(self._rotations)} rotations, {len(self._series)} series>"

    def chain(self, category: str) -> tuple[Provider, ...]:
        """All providers of a category, in the order of the registry."""
        return tuple(p for p in self.providers if category in p.categories)

    def offers(
        self, query: Query[Any], *, exclude: Collection[str] = ()
    ) -> tuple[list[Offer], list[Refusal]]:
        """The offers for `query` now, and why the other providers made none."""
        offers: list[Offer] = []
        refusals: list[Refusal] = []
        for provider in self.chain(query.category):
            if provider.name in exclude:
                continue
            offer = provider.offer(query)
            if isinstance(offer, Offer):
                offers.append(offer)
            elif not (query.is_pass_through and offer.detail == NO_OPERATION):  # another vendor's
                refusals.append(offer)
        return offers, refusals

    def within_budget(self, offers: Sequence[Offer]) -> tuple[Sequence[Offer], tuple[Refusal, ...]]:
        """The offers whose budget can spare the calls, so that scarce budgets stay for what only
        their providers can do. Where no budget can, all of them: each may borrow a little."""
        within = [offer for offer in offers if offer.budget_wait_s <= 0]
        if not within:
            return offers, ()
        over = (self._over_budget(offer) for offer in offers if offer.budget_wait_s > 0)
        return within, tuple(over)

    def pick(
        self,
        query: Query[Any],
        offers: Sequence[Offer],
        refusals: tuple[Refusal, ...],
        *,
        takes_turn: bool = True,
    ) -> Choice:
        """One of `offers`, of which there is at least one."""
        rank = min(offer.rank for offer in offers)
        equals, over_budget = self.within_budget([one for one in offers if one.rank == rank])
        by_name = {offer.provider.name: offer for offer in equals}
        offer = by_name.get(self._series.get(query.series or "") or "")
        if len(equals) == 1:
            offer = equals[0]
            reason = f"the only eligible one of tier {offer.tier}"
        elif offer:
            reason = "keeps its series"
        else:
            weights = {name: weight_of(one.headroom) for name, one in by_name.items()}
            rotation = self._rotations.setdefault((query.category, rank[1]), SmoothRotation())
            offer = by_name[rotation.pick(weights) if takes_turn else rotation.peek(weights)]
            weight = weights[offer.provider.name]
            reason = f"its turn in tier {offer.tier}, weight {weight:.2f}"
        flapping = [o.provider.name for o in offers if o.is_flapping and o is not offer]
        if flapping:
            reason += f"; tried last, because it fails repeatedly: {', '.join(flapping)}"
        return Choice(offer, reason, (*refusals, *over_budget), len(offers) - 1)

    def early_probe(
        self, query: Query[Any], exclude: Collection[str], refusals: tuple[Refusal, ...]
    ) -> Choice | None:
        """While all providers cool down: an early probe of the one whose cooldown ends first."""
        now = self._clock.monotonic()
        last = self._probed_early_at.get(query.category, -EARLY_PROBE_S)
        if now - last < EARLY_PROBE_S:
            return None
        chain = (p for p in self.chain(query.category) if p.name not in exclude)
        made = (provider.offer(query, is_early_probe=True) for provider in chain)
        offers = [offer for offer in made if isinstance(offer, Offer)]
        if not offers:
            return None
        self._probed_early_at[query.category] = now
        first = min(offers, key=lambda offer: offer.provider.retry_at or self._clock.now())
        reason = "no provider is eligible: early probe of the one whose cooldown ends first"
        return Choice(first, reason, refusals)

    def hedge_candidate(
        self, query: Query[Any], slow: Choice, exclude: Collection[str]
    ) -> Choice | None:
        """The provider to ask beside a slow one, if any can afford a wasted call. All other offers
        may follow if both fail."""
        offers, _ = self.offers(query, exclude=exclude)
        candidates = [offer for offer in offers if offer.allows_hedging]
        if not candidates:
            return None
        reason = f"asked beside {slow.provider.name}, which is slow"
        best = min(candidates, key=lambda offer: offer.rank)
        return Choice(best, reason, (), len(offers) - 1)

    def remember_series(self, query: Query[Any], provider: Provider) -> None:
        """The provider is asked first for later queries of the same series."""
        if query.series is not None:
            self._series.set(query.series, provider.name)

    def _over_budget(self, offer: Offer) -> Refusal:
        retry_at = self._clock.now() + timedelta(seconds=offer.budget_wait_s)
        name = offer.provider.name
        return Refusal(name, "rate_limited", retry_at, detail=BUDGET_RESERVED, window="budget")
