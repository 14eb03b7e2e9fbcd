"""Every attack there is, in the order of the table, and the issue's rows that they are to cover."""

from typing import Any

from tests.attacks import restarts
from tests.attacks.attack import Attack, Scene
from tests.attacks.cost import dear, limits, memory
from tests.attacks.cost import scene as cost
from tests.attacks.manners import http, odd, parameters, starts
from tests.attacks.readers import crowds, floods, handshakes, places, unread
from tests.attacks.readers import scene as readers
from tests.attacks.values import feeds, figures, pairs, pushes, refusals, rows, texts
from tests.attacks.values import scene as values
from tests.attacks.wire import bodies, heads, junk
from tests.attacks.wire import scene as wire

#: Each of them adds its attacks to a scene when it is imported.
MODULES = (
    *(heads, bodies, junk),
    *(figures, rows, texts, feeds, pairs, refusals, pushes),
    *(floods, unread, handshakes, places, crowds),
    *(dear, limits, memory),
    restarts,
    *(http, parameters, odd, starts),
)
SCENES: tuple[Scene[Any], ...] = (
    wire.SCENE,
    values.SCENE,
    restarts.SCENE,
    starts.STARTS,
    cost.BUDGETED,
    readers.OPEN,
    readers.LOCKED,
    cost.SHARED,
    cost.LIMITED,
)
SECTIONS = {
    "A": "The wire: whatever a provider sends is that provider's failure",
    "B": "Values: no arithmetic, character or row spoils the rest",
    "C": "Readers: nobody's work or waiting is unbounded",
    "D": "Cost: one reader cannot spend what belongs to all",
    "E": "Restarts and state",
    "F": "Manners of HTTP, parameters and settings",
}
#: Of each section, how many rows of its own the issue has.
ROWS = {"A": 6, "B": 9, "C": 5, "D": 5, "E": 2, "F": 10}


def attacks() -> list[Attack[Any]]:
    """By section and row; what the issue does not name comes last in its section."""
    found = [one for scene in SCENES for one in scene.attacks]
    return sorted(found, key=lambda one: (one.group, one.first_row))
