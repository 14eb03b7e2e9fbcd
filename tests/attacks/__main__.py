"""Attacks a real gateway: `python -m tests.attacks [--quick] [--only TEXT]`.

The whole of it takes under five minutes and writes docs/attacks.md; `--quick` plays every attack
for a moment and writes nothing. Ends with 1 on any loss.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence

from tests.attacks.plan import SCENES
from tests.attacks.report import DOCUMENT, document
from tests.attacks.run import Outcome, play_all


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="attacks")
    parser.add_argument("--quick", action="store_true", help="every attack for a moment")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows or names with this text")
    return parser.parse_args(arguments)


async def played(options: argparse.Namespace) -> list[Outcome]:
    """Ended by SIGTERM as by an error: the gateways that it started end with it."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await play_all(SCENES, only=options.only, is_quick=options.quick)


def main() -> int:
    options = read_options(sys.argv[1:])
    began = time.monotonic()
    try:
        outcomes = asyncio.run(played(options))
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    text = document(outcomes, time.monotonic() - began)
    if not (options.quick or options.only):
        DOCUMENT.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 1 if any(one.tally.losses for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
