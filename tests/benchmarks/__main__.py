"""All benchmarks, one after the other: `python -m tests.benchmarks [--quick]`."""

import subprocess
import sys

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


def main() -> int:
    for title, module in PARTS.items():
        sys.stdout.write(f"## {title}\n\n")
        sys.stdout.flush()
        command = [sys.executable, "-m", f"tests.benchmarks.{module}", *sys.argv[1:]]
        code = subprocess.run(command, check=False).returncode  # noqa: S603 - our own
        if code:
            return code
        sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
