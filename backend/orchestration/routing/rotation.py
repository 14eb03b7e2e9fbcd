"""Smooth weighted round robin among providers of one tier, weighted by headroom."""

from collections.abc import Mapping

#: Headroom (remaining share of the limits) at or below which a provider has the least weight.
LOW_HEADROOM = 0.2
MIN_WEIGHT = 0.1


def weight_of(headroom: float) -> float:
    """1 with all limits unused, falling linearly to 0.1 at a fifth of them."""
    share = (min(1.0, headroom) - LOW_HEADROOM) / (1 - LOW_HEADROOM)
    return MIN_WEIGHT + (1 - MIN_WEIGHT) * max(0.0, share)


class SmoothRotation:
    """Spreads turns by weight without bursts (nginx's algorithm). The names may change."""

    def __init__(self) -> None:
        self._credit: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<SmoothRotation {self._credit}>"

    def peek(self, weights: Mapping[str, float]) -> str:
        """The next name, without taking its turn. Raises ValueError when `weights` is empty."""
        return max(weights, key=lambda name: self._credit.get(name, 0.0) + weights[name])

    def pick(self, weights: Mapping[str, float]) -> str:
        """The next name; takes its turn. Raises ValueError when `weights` is empty."""
        for name, weight in weights.items():
            self._credit[name] = self._credit.get(name, 0.0) + weight
        chosen = max(weights, key=lambda name: self._credit[name])
        self._credit[chosen] -= sum(weights.values())
        return chosen
