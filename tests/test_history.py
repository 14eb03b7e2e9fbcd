"""The last fifty choices."""

from backend.events import RefreshFailing
from backend.models.status import ProviderChosen
from backend.status import RotationHistory
from tests.clocks import EPOCH


def test_the_last_fifty_choices_are_kept_newest_last() -> None:
    history = RotationHistory()
    for number in range(60):
        history(ProviderChosen(EPOCH, "market", f"p{number}", "its turn"))
    assert [choice.provider for choice in history.choices] == [f"p{n}" for n in range(10, 60)]
    assert repr(history) == "<RotationHistory 50>"


def test_other_events_are_ignored() -> None:
    history = RotationHistory()
    history(RefreshFailing(EPOCH, "market", "market", "timeout"))
    assert tuple(history.choices) == ()
