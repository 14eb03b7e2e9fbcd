"""All benchmarks, one after the other: `python -m tests.benchmarks [--quick] [--commit]`.

Fails if a ratio is more than a quarter smaller than the committed one. `--commit` writes those that
were found to committed.json, for a change that is meant to alter them; the committed ones are of
the quick form, on a quiet machine.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.ratios import COMMITTED, FILE, compare, recorded

#: Each compares side by side in one run and prints its tables.
PARTS = {
    "A cached answer": "hot_path",
    "Start, memory, calls, a cold key": "whole",
    "The stream's fan-out": "stream_fanout",
    "A tick": "tick_calls",
    "Compressed frames": "deflate",
    "Several processes": "cluster",
    "10,000 readers": "stream_crowd",
    "Cost as the work grows": "growth",
}


def main(arguments: list[str]) -> int:
    options = [one for one in arguments if one != "--commit"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ratios"
        file.touch()
        environment = {**os.environ, FILE: str(file)}
        for title, module in PARTS.items():
            sys.stdout.write(f"## {title}\n\n")
            sys.stdout.flush()
            command = [sys.executable, "-m", f"tests.benchmarks.{module}", *options]
            code = subprocess.run(command, check=False, env=environment).returncode  # noqa: S603 - our own
            if code:
                return code
            sys.stdout.write("\n")
        found = recorded(file)
    if "--commit" in arguments:
        ordered = {name: round(found[name], 2) for name in sorted(found)}
        COMMITTED.write_text(f"{json.dumps(ordered, indent=2)}\n", encoding="utf-8")
    table, all_hold = compare(found, json.loads(COMMITTED.read_text(encoding="utf-8")))
    sys.stdout.write(f"## Ratios\n\n{table}")
    return 0 if all_hold else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
