"""Commands of the documents, run as written except for the port and the folder of Python."""

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.life.process import Gateway
from tests.readme.document import ADDRESS, ROOT

PATIENCE_S = 20


def here(line: str) -> str:
    """The line with the programs of this Python and the script of this repository."""
    line = line.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    return line.replace("run_server.py", str(ROOT / "run_server.py"))


def shell(line: str) -> tuple[str, ...]:
    """A shell that replaces itself with the line; arguments after it are ignored."""
    return "sh", "-c", f"exec env {here(line)}"


@asynccontextmanager
async def typed(gateway: Gateway, line: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The line as a process that runs as long as the context."""
    command = here(line.replace(ADDRESS, f"localhost:{gateway.port}"))
    process = await asyncio.create_subprocess_exec(
        *shlex.split(command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def printed(gateway: Gateway, line: str) -> str:
    """The output of a command that ends by itself, with exit code 0."""
    async with typed(gateway, line) as process:
        output, _ = await process.communicate()
        assert process.returncode == 0, line
    return output.decode()


async def output_until(gateway: Gateway, line: str, wanted: str) -> str:
    """The output of a stream until it contains `wanted`."""
    text = ""
    async with typed(gateway, line) as process:
        assert process.stdout is not None
        while wanted not in text:
            more = await process.stdout.read(4_096)
            assert more, text
            text += more.decode(errors="replace")
    return text
