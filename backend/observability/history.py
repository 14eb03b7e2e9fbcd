"""The last choices of the manager, for whoever asks why."""

from collections import deque

from backend.events import Event
from backend.models.status import ProviderChosen

REMEMBERED = 50


class RotationHistory:
    """A sink that remembers the last fifty choices, newest last."""

    def __init__(self) -> None:
        self._choices: deque[ProviderChosen] = deque(maxlen=REMEMBERED)

    def __repr__(self) -> str:
        return f"<RotationHistory {len(self._choices)}>"

    def __call__(self, event: Event) -> None:
        if isinstance(event, ProviderChosen):
            self._choices.append(event)

    @property
    def choices(self) -> tuple[ProviderChosen, ...]:
        return tuple(self._choices)
