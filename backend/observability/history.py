"""The last choices of providers, for `/api/status`."""

from collections import deque

from backend.events import Event
from backend.models.status import ProviderChosen

MOST_CHOICES = 50


class RotationHistory:
    """The event sink that keeps the last 50 choices, the newest at the end."""

    def __init__(self) -> None:
        self._choices: deque[ProviderChosen] = deque(maxlen=MOST_CHOICES)

    def __repr__(self) -> str:
        return f"<RotationHistory {len(self._choices)}>"

    def __call__(self, event: Event) -> None:
        if isinstance(event, ProviderChosen):
            self._choices.append(event)

    @property
    def choices(self) -> tuple[ProviderChosen, ...]:
        return tuple(self._choices)
