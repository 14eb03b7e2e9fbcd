"""Who is next among equals: smooth weighted round robin by headroom."""

from collections.abc import Mapping

#: Headroom (remaining share of the quota) at or below which a provider gets its least turn.
LOW_HEADROOM = 0.2
LEAST_WEIGHT = 0.1


def weight_of(headroom: float) -> float:
    """1 with a full quota, falling linearly to 0.1 at a fifth of it."""
    share = (min(1.0, headroom) - LOW_HEADROOM) / (1 - LOW_HEADROOM)
    return LEAST_WEIGHT + (1 - LEAST_WEIGHT) * max(0.0, share)


class SmoothRotation:
    """Spreads turns by weight without bursts (nginx's algorithm), whoever is eligible each time."""

    def __init__(self) -> None:
        self._credit: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<SmoothRotation {self._credit}>"

    def peek(self, weights: Mapping[str, float]) -> str:
        """Whose turn it is, without taking it. Raises ValueError when nobody is eligible."""
        return max(weights, key=lambda name: self._credit.get(name, 0.0) + weights[name])

    def pick(self, weights: Mapping[str, float]) -> str:
        """The next one's name. Raises ValueError when nobody is eligible."""
        for name, weight in weights.items():
            self._credit[name] = self._credit.get(name, 0.0) + weight
        chosen = max(weights, key=lambda name: self._credit[name])
        self._credit[chosen] -= sum(weights.values())
        return chosen
