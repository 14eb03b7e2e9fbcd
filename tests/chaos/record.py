"""What became of each cell, for the document: lines in a file that `tests.chaos.matrix` reads."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

#: Where the lines go, if anybody wants them.
VARIABLE = "FAULT_MATRIX_RESULTS"


@dataclass(frozen=True)
class Cell:
    """`how`: the rate, or what else was done. `trouble` is None where all held."""

    row: str
    provider: str
    how: str
    trouble: str | None


def record(cells: list[Cell]) -> None:
    """Appends; tests run in several processes, so each has a file of its own."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with (Path(folder) / f"{worker}.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(cell)) + "\n" for cell in cells)


def judge(cells: list[Cell]) -> None:
    """Recorded, then asserted: one cell's trouble hides no other's."""
    record(cells)
    troubles = [
        f"{one.row}: {one.provider}, {one.how}: {one.trouble}" for one in cells if one.trouble
    ]
    assert not troubles, "\n".join(troubles)
