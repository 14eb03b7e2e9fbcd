"""Ratios that must not get worse.

Each benchmark records its own; `python -m tests.benchmarks` compares them with those in
committed.json. More is better in all of them, and 1 means as good as what it is compared with.
"""

import json
import os
from pathlib import Path

COMMITTED = Path(__file__).with_name("committed.json")
#: A ratio may be as much smaller than the committed one: a quarter.
LEAST_SHARE = 0.75
#: The variable that names the file where the parts of one run record their ratios.
FILE = "BENCHMARK_RATIOS"


def record(name: str, ratio: float) -> None:
    """Keeps a ratio for the comparison; does nothing where a part is run alone."""
    if path := os.environ.get(FILE):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps([name, ratio])}\n")


def recorded(path: Path) -> dict[str, float]:
    return dict(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def compare(found: dict[str, float], committed: dict[str, float]) -> tuple[str, bool]:
    """A table of all ratios, and whether each one that was committed holds."""
    lines = ["| ratio | committed | now | |", "| --- | ---: | ---: | --- |"]
    all_hold = True
    for name in sorted(found.keys() | committed.keys()):
        now, before = found.get(name), committed.get(name)
        holds = before is None or (now is not None and now >= before * LEAST_SHARE)
        all_hold &= holds
        verdict = "**worse**" if not holds else "not committed" if before is None else ""
        lines.append(f"| {name} | {_figure(before)} | {_figure(now)} | {verdict} |")
    return "\n".join([*lines, ""]), all_hold


def _figure(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}"
