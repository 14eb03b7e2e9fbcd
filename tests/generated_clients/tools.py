"""The tools that write clients, in versions that were tried, and how they are run."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from pathlib import Path

from tests.life.process import ROOT

#: Below it the tools are installed, once.
FOLDER = ROOT / "build" / "generated_clients"
#: Ruff formats what openapi-python-client writes.
PYTHON_PACKAGES = ("openapi-python-client==0.29.1", "ruff==0.17.6")
NODE_PACKAGES = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3")
RUN_S = 240.0


async def ran(*command: str, folder: Path, path: Path | None = None) -> str:
    """The output of a command in a folder, with the programs of `path` first. It must succeed."""
    search = os.environ["PATH"] if path is None else f"{path}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, "PATH": search},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        async with asyncio.timeout(RUN_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode(errors="replace")
    assert process.returncode == 0, f"{' '.join(command)}:\n{text[-3_000:]}"
    return text
