"""Makes the virtual environments of the client scripts, all at once: `python -m venv` and pip."""

import asyncio
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from pathlib import Path

from tests.clients.requirements import Environment

INSTALL_S = 300.0
#: Written last: an environment without it, or of other packages, is made again.
COMPLETE = "packages.txt"


class NotInstalled(Exception):
    """What pip or venv said."""


async def python_of(environment: Environment, folder: Path) -> Path:
    """The interpreter of the environment below `folder`, which is made unless it is there.

    Raises NotInstalled.
    """
    own = folder / f"environment_{environment.number}"
    python = own / "bin" / "python"
    wanted = "\n".join(environment.packages)
    if (own / COMPLETE).exists() and (own / COMPLETE).read_text() == wanted:
        return python
    shutil.rmtree(own, ignore_errors=True)
    await _run(sys.executable, "-m", "venv", str(own))
    pip = ("-m", "pip", "install", "-q", "--disable-pip-version-check")
    await _run(str(python), *pip, *environment.packages)
    (own / COMPLETE).write_text(wanted)
    return python


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
    )
    try:
        async with asyncio.timeout(INSTALL_S):
            output, _ = await process.communicate()
    except TimeoutError:
        raise NotInstalled(f"{' '.join(command)}: not done within {INSTALL_S:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise NotInstalled(f"{' '.join(command)}:\n{output.decode(errors='replace')[-2_000:]}")
