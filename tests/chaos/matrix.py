"""`python -m tests.chaos.matrix`: runs the fault table, writes it fault by provider to docs.

With `--quick` one provider of each vendor file is put to the test by crowds of ten readers, no
month is simulated, and nothing is written.
"""

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
from tests.chaos.subjects import QUICK, SUBJECTS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "fault-matrix.md"
HEAD = """# What happens when providers fail

Written by `python -m tests.chaos.matrix` from the tests in `tests/chaos/`: real sockets on
loopback, and time that passes only while all sockets are silent, so that a busy machine changes
no result. Between calls the clock is stepped. Each fault is met at the rates in its second column;
500 a second are fifty readers in the same process, for each provider and fault.

`ok`: everything that the design's table demands was true at each of these rates, with the rivals
well and, where `alone` is named, with no other provider. `n.a.`: the fault does not apply to this
provider. `–`: it was not played with this provider. `FAILED` names the first trouble; the tests
fail, too.
"""


#: One process a core. The plugins that are left out take seconds to import.
PYTEST = (
    *("-m", "pytest", "-q", "--show-capture=no", "-m", "chaos"),
    *("-n", "2", "--dist", "worksteal", "-p", "no:schemathesis", "-p", "no:hypothesispytest"),
)


def run(folder: Path, *paths: str) -> int:
    """Runs the tests of `paths`, which write their cells to `folder`."""
    return subprocess.run(  # noqa: S603 - our own tests
        [sys.executable, *PYTEST, *paths], env=os.environ | {VARIABLE: str(folder)}, check=False
    ).returncode


def read(folder: Path) -> list[Cell]:
    lines = (line for file in folder.glob("*.jsonl") for line in file.read_text().splitlines())
    return [Cell(**json.loads(line)) for line in lines]


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


def document(cells: Iterable[Cell]) -> str:
    """The table, and the sections below it."""
    sections = {
        "Rows of other tests": (f"{row}: `{test}`" for row, test in ELSEWHERE.items()),
        "Invariants": (f"{rule}: `{test}`" for rule, test in INVARIANTS.items()),
        "Notes": NOTES,
    }
    rest = "\n".join(
        "\n".join([f"## {title}\n", *(f"- {line}" for line in lines), ""])
        for title, lines in sections.items()
    )
    return f"{HEAD}\n{table(cells)}\n\n{rest}"


def main() -> int:
    if "--quick" in sys.argv[1:]:
        os.environ[QUICK] = "yes"
        with tempfile.TemporaryDirectory() as name:
            return run(Path(name), "tests/chaos")
    with tempfile.TemporaryDirectory() as name:
        code = run(Path(name), "tests/chaos", "tests/simulation")
        text = document(read(Path(name)))
    DOCUMENT.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
