"""Asks every real provider once: `python -m tests.live [--only NAME …] [--markdown] [--accept]`.

For those who have internet; no test and no CI job calls real providers. Keys are read as by the
gateway. The calls count against the limits of your plans. Ends with 1 if a parser refuses an
answer, or if an answer cannot be true. Hosts that cannot be reached, blocks by country and limits
are listed, and are no failures.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from backend.environment import SettingsError
from backend.gateway import read_configuration
from backend.providers.registry import REGISTRY
from tests.live.report import summary, table
from tests.live.row import OK, Row
from tests.live.run import LONGEST_S, run
from tests.live.shapes import NOTHING, RECORDED, changes, read_shapes, write_shapes


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="live")
    names = [spec.name for spec in REGISTRY]
    parser.add_argument(
        "--only", nargs="+", default=names, choices=names, metavar="NAME", help="these providers"
    )
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    parser.add_argument("--accept", action="store_true", help="record the shapes of good answers")
    parser.add_argument(
        "--shapes", type=Path, default=RECORDED, metavar="FILE", help="recorded shapes"
    )
    parser.add_argument(
        "--seconds", type=float, default=LONGEST_S, help=f"longest time ({LONGEST_S:.0f})"
    )
    return parser.parse_args(arguments)


def compare(rows: Sequence[Row], path: Path, *, accept: bool) -> None:
    """Notes in each row what differs from the recorded shape. Records good shapes on request."""
    recorded = read_shapes(path)
    good = {row.key: row.shape for row in rows if row.shape and row.outcome == OK}
    for row in rows:
        if row.shape:
            known = recorded.get(row.key)
            row.notes += [NOTHING] if known is None else changes(known, row.shape)
    if accept and good:
        write_shapes(path, recorded | good)


def main(arguments: Sequence[str]) -> int:
    options = read_options(arguments)
    try:
        configuration = read_configuration()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    specs = [spec for spec in REGISTRY if spec.name in options.only]
    rows = asyncio.run(run(configuration, specs, longest_s=options.seconds))
    compare(rows, options.shapes, accept=options.accept)
    sys.stdout.write(table(rows, markdown=options.markdown) + "\n" + summary(rows))
    return 1 if any(row.has_failed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
