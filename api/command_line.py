"""The command `crypto-gateway`, and `python run_server.py`: what its arguments ask for.

The application is imported only when it is needed: help and version are instant, and a supervisor
of workers does without it.
"""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from api.server.worker import Worker
from backend import __version__

#: The exit code of a process that was interrupted from the keyboard.
INTERRUPTED = 128 + signal.SIGINT
DESCRIPTION = "A REST API and a stream in front of many providers of crypto market data."
SETTINGS = (
    "Settings are environment variables, or lines of a file .env in the current folder:"
    " HOST, PORT, <PROVIDER>_API_KEY and others. docs/settings.md and .env.example list them."
)


def run_command(arguments: Sequence[str] | None = None) -> NoReturn:
    """Does what the arguments (those of the process) ask for, and ends the process.

    The exit code is 2 for wrong arguments and settings. Without arguments it serves, by several
    processes if WORKERS says so, until a signal.
    """
    given = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))  # imports take a second
    worker = Worker.of(given)
    if worker is None and _options(given).check:
        from api.provider_check import check_providers  # noqa: PLC0415 - see above

        end(check_providers())
    if worker is None:
        from api.server.workers import supervise_workers  # noqa: PLC0415

        supervise_workers()  # returns if this process is to serve by itself
    # What the start makes lives on: collections would only look at it, for an eighth of the time.
    # `Server.startup` enables them.
    gc.disable()
    from api import process  # noqa: PLC0415

    process.run(worker=worker)


def end(code: int) -> NoReturn:
    """Ends the process at once, without waiting for threads that hang in a name lookup."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # its reader has left
            stream.flush()
    os._exit(code)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    """Exits with the usage for arguments that do not exist."""
    name = os.path.basename(sys.argv[0]) or "crypto-gateway"
    parser = argparse.ArgumentParser(
        prog=name, description=DESCRIPTION, epilog=SETTINGS, allow_abbrev=False
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="ask each enabled provider once, print who would answer, and serve nothing;"
        " ends with 1 if a data route has nobody",
    )
    version = f"crypto-gateway {__version__}"
    parser.add_argument("--version", action="version", version=version)
    return parser.parse_args(arguments)
