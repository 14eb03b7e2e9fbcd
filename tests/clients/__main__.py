"""Real clients of other services against real gateways: `python -m tests.clients`.

The scripts are not part of the repository: `--scripts` is their folder. Exit code 1 if a script
failed, a gateway failed, or an environment could not be made.
"""

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

from tests.clients.environments import NotInstalled, python_of
from tests.clients.plan import GATEWAYS, MODES, clients_of
from tests.clients.requirements import parse_environments
from tests.clients.run import Clients, run_all

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = ROOT.parent / "shared" / "clients"
ENVIRONMENTS = ROOT / "build" / "clients"
#: The script of the stand-in, as the requirements name it.
STAND_IN = "fake"


async def install(scripts: Path, folder: Path) -> Clients:
    """Raises NotInstalled, and ValueError for requirements that name no environment of a script."""
    environments = parse_environments((scripts / "requirements.txt").read_text(encoding="utf-8"))
    pythons = await asyncio.gather(*(python_of(one, folder) for one in environments))
    of_script = {
        script: python
        for environment, python in zip(environments, pythons, strict=True)
        for script in environment.scripts
    }
    clients = clients_of(scripts)
    if lacking := {STAND_IN, *clients} - of_script.keys():
        raise ValueError(f"requirements.txt has no environment of {', '.join(sorted(lacking))}")
    return Clients(scripts, {name: of_script[name] for name in clients}, of_script[STAND_IN])


async def run(scripts: Path, folder: Path, *, is_only_installed: bool, modes: list[str]) -> int:
    """The exit code."""
    task = asyncio.current_task()
    assert task
    # Else a terminated run would leave its gateways behind.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    began = time.monotonic()
    clients = await install(scripts, folder)
    sys.stdout.write(f"environments in {folder} after {time.monotonic() - began:.0f} s\n")
    if is_only_installed:
        return 0
    chosen = [one for one in GATEWAYS if one.mode.name in modes]
    outcomes = await run_all(clients, chosen)
    failed = sum(not outcome.is_good for outcome in outcomes)
    sys.stdout.write(f"{len(outcomes) - failed} of {len(outcomes)} runs passed")
    sys.stdout.write(f" after {time.monotonic() - began:.0f} s\n")
    return int(failed > 0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.add_argument("--scripts", type=Path, default=SCRIPTS)
    parser.add_argument("--environments", type=Path, default=ENVIRONMENTS)
    parser.add_argument("--install", action="store_true", help="only make the environments")
    parser.add_argument("--modes", nargs="+", choices=[mode.name for mode in MODES])
    options = parser.parse_args()
    if not options.scripts.is_dir():
        sys.stdout.write(f"NO CLIENTS are in {options.scripts}: nothing was run\n")
        return 0
    work = run(
        options.scripts,
        options.environments,
        is_only_installed=options.install,
        modes=options.modes or [mode.name for mode in MODES],
    )
    try:
        return asyncio.run(work)
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    except (NotInstalled, ValueError) as error:
        sys.stdout.write(f"the environments could not be made: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
