"""The table of attacks: as it was run, in plain words."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.attacks.plan import SECTIONS
from tests.attacks.run import Outcome

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "attacks.md"
HEADER = "| attack | tries | losses | what was measured |"
MOST_SHOWN = 3
HEAD = """# What attacks cost

Written by `python -m tests.attacks` ({date}, {machine}): each attack is made on a real
`run_server.py` on loopback, in front of providers that misbehave, bounded in number and time.
A *try* is one bad answer, frame, connection, question or start, as the attack has it; a *loss*
is what the last column names, and besides any traceback in the gateway's output. `--quick` plays
every attack for a moment, as CI does; `--only TEXT` plays those that begin so, or hold it.

Of {attacks} attacks with {tries:,} tries, **{losses} losses**, in {seconds:.0f} s.
"""


def document(outcomes: Sequence[Outcome], took_s: float) -> str:
    ordered = sorted(outcomes, key=lambda one: (one.attack.group, one.attack.first_row))
    parts = [
        HEAD.format(
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            machine=_machine(),
            attacks=len(ordered),
            tries=sum(one.tally.tries for one in ordered),
            losses=sum(len(one.tally.losses) for one in ordered) or "no",
            seconds=took_s,
        )
    ]
    for group, title in SECTIONS.items():
        rows = [_row(one) for one in ordered if one.attack.group == group]
        if rows:
            table = "\n".join([HEADER, "| --- | ---: | ---: | --- |", *rows])
            parts.append(f"## {group}. {title}\n\n{table}\n")
    return "\n".join(parts)


def _row(outcome: Outcome) -> str:
    tally = outcome.tally
    told = [f"{'; '.join(tally.notes)}."] if tally.notes else []
    told.append(f"A loss is {outcome.attack.loss}.")
    told += [f"LOSS: {loss}." for loss in list(dict.fromkeys(tally.losses))[:MOST_SHOWN]]
    cells = outcome.attack.name, f"{tally.tries:,}", f"{len(tally.losses):,}", " ".join(told)
    return f"| {' | '.join(_plain(cell) for cell in cells)} |"


def _plain(cell: str) -> str:
    """In one line of a table of markdown."""
    return " ".join(cell.replace("|", "/").split())


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def names_in(text: str) -> list[str]:
    """The attacks that a document has rows of, in its order."""
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [line.split(" | ")[0].removeprefix("| ") for line in rows]
    return [cell for cell in cells if cell not in ("attack", "---")]
