"""`python -m tests.chaos.matrix`: runs the fault table, writes it fault by provider to docs."""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tests.chaos.names import ELSEWHERE, FAULTS, INVARIANTS, NOTES, ONES, PROVIDERS
from tests.chaos.record import VARIABLE, Cell
from tests.chaos.subjects import SUBJECTS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "fault-matrix.md"
HEAD = """# What happens when providers fail

Written by `python -m tests.chaos.matrix` from the tests in `tests/chaos/`: real sockets on
loopback, real time-outs, a clock that is stepped between calls. Each fault is met at the rates
that are named beside it; 500 a second are readers within the process, fifty of them for each
provider and fault. `ok`: everything that the table of the design asks for held at all of them,
with the rivals well and, where `alone` is named, with nobody else there. `n.a.`: the fault says
nothing about that provider. `–`: it was not played with that provider.
`FAILED` would name the first trouble; the tests fail then, too.
"""


PYTEST = ("-m", "pytest", "-q", "tests/chaos", "--show-capture=no")
#: Time-outs are real: what waits for them runs before the rest, and whoever fails beside others
#: has another chance by himself.
SILENT = ("-m", "chaos and silent", "-n", "2")
TOGETHER = ("-m", "chaos and not silent", "-n", "4", "--dist", "worksteal")
ALONE = ("-m", "chaos", "-n", "1", "--last-failed", "--last-failed-no-failures", "none")


def run(folder: Path, how: tuple[str, ...]) -> int:
    """The tests, which leave their cells in `folder`."""
    arguments = [sys.executable, *PYTEST, *how]
    folder.mkdir()
    return subprocess.run(  # noqa: S603 - our own tests
        arguments, env=os.environ | {VARIABLE: str(folder)}, check=False
    ).returncode


def read(folder: Path) -> list[Cell]:
    lines = (line for file in folder.glob("*.jsonl") for line in file.read_text().splitlines())
    return [Cell(**json.loads(line)) for line in lines]


def judged(together: list[Cell], alone: list[Cell]) -> list[Cell]:
    """What was seen again counts as it was seen then."""
    again = {(cell.row, cell.provider, cell.how) for cell in alone}
    once = [cell for cell in together if (cell.row, cell.provider, cell.how) not in again]
    return once + alone


def table(cells: Iterable[Cell]) -> str:
    """One line a fault, one column a provider."""
    found: defaultdict[tuple[str, str], list[Cell]] = defaultdict(list)
    rates: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for cell in cells:
        found[cell.row, cell.provider.partition(" ")[0]].append(cell)
        rates[cell.row][cell.how] = None
    lines = [_line(("fault", "at", *PROVIDERS)), _line(["---"] * (len(PROVIDERS) + 2))]
    for fault in FAULTS:
        cellular = [
            _text(found[fault, name]) if found[fault, name] else _why_none(fault, name)
            for name in PROVIDERS
        ]
        lines.append(_line((fault, "; ".join(sorted(rates[fault])), *cellular)))
    return "\n".join(lines)


def _line(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _text(cells: list[Cell]) -> str:
    troubles = [
        f"{cell.provider.partition(' ')[2]} {cell.how}: {cell.trouble}"
        for cell in cells
        if cell.trouble and cell.trouble != "not reached"
    ]
    if troubles:
        return "FAILED " + troubles[0].strip()[:90].replace("|", "/").replace("\n", " ")
    return "ok"


def _why_none(fault: str, name: str) -> str:
    reasons = [
        row.why_not(subject)
        for row in ONES
        for subject in SUBJECTS
        if (row.name, subject.name) == (fault, name)
    ]
    return "n.a." if reasons and all(reasons) else "–"


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        silent, together, alone = (Path(name, one) for one in ("silent", "together", "alone"))
        codes = run(silent, SILENT), run(together, TOGETHER)
        code = run(alone, ALONE) if any(codes) else 0
        elsewhere = "\n".join(f"- {row}: `{test}`" for row, test in ELSEWHERE.items())
        held = "\n".join(f"- {rule}: `{test}`" for rule, test in INVARIANTS.items())
        notes = "\n".join(f"- {note}" for note in NOTES)
        sections = {"Rows that other tests hold": elsewhere, "Invariants": held, "Notes": notes}
        rest = "\n\n".join(f"## {title}\n\n{lines}" for title, lines in sections.items())
        text = f"{HEAD}\n{table(judged(read(silent) + read(together), read(alone)))}\n\n{rest}\n"
    DOCUMENT.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
