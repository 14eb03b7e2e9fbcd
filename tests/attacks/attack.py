"""What an attack is, and how its tries and losses are counted."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from tests.life.process import Gateway

#: What the gateway promises a reader: an answer within its own deadline, in seconds ...
DEADLINE_S = 4.0
#: ... and, while somebody else floods it, within this, in milliseconds.
QUIET_MS = 250.0


@dataclass
class Tally:
    """What became of one attack. `is_quick`: the short form is played."""

    is_quick: bool = False
    tries: int = 0
    losses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def times(self, full: int, quick: int) -> int:
        return quick if self.is_quick else full

    def expect(self, claim: object, otherwise: str) -> None:
        """One loss, in these words, where the claim does not hold."""
        if not claim:
            self.losses.append(otherwise)

    def note(self, text: str) -> None:
        """What was measured, for the table."""
        self.notes.append(text)


class Ground(Protocol):
    """Where attacks take place: what a scene opens."""

    @property
    def gateways(self) -> list[Gateway]:
        """Those that run now: after each attack they are looked at."""
        ...


G = TypeVar("G", bound=Ground)
Play = Callable[[G, Tally], Awaitable[None]]


@dataclass(frozen=True)
class Attack(Generic[G]):
    """`row` is a row of the issue (B3) or several (B3 B4), or a section (B) where it has none."""

    row: str
    name: str
    loss: str
    play: Play[G]
    #: What it leaves behind would spoil the others: it is played behind them.
    lasts: bool = False

    @property
    def group(self) -> str:
        return self.row[0]

    @property
    def first_row(self) -> int:
        """Its number in the section; what has none comes last."""
        return int(self.row.split()[0][1:] or 99)

    def is_meant(self, text: str) -> bool:
        """Whether its row or name begins so, or its name holds a text of some length."""
        begins = f"{self.row} {self.name}".startswith(text)
        return begins or (len(text) > 2 and text in self.name)


@dataclass
class Scene(Generic[G]):
    """Attacks that share what `opened` gives. Where times are measured, nothing runs beside."""

    name: str
    opened: Callable[[], AbstractAsyncContextManager[G]]
    is_measured: bool = False
    attacks: list[Attack[G]] = field(default_factory=list)

    def attack(
        self, row: str, name: str, *, loss: str, lasts: bool = False
    ) -> Callable[[Play[G]], Play[G]]:
        """Adds what it decorates to the scene."""

        def add(play: Play[G]) -> Play[G]:
            self.attacks.append(Attack(row, name, loss, play, lasts))
            return play

        return add
