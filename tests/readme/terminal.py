"""The README's lines, typed as they stand but for the gateway's port and the folder of Python."""

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
    """Python's programs are where this test's are, ours where the repository is."""
    line = line.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    return line.replace("run_server.py", str(ROOT / "run_server.py"))


def shell(line: str) -> tuple[str, ...]:
    """A shell that runs the line, and in whose place it comes; what follows it is not looked at."""
    return "sh", "-c", f"exec env {here(line)}"


@asynccontextmanager
async def typed(gateway: Gateway, line: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs as long as the block."""
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
    """All that a command says which ends by itself, and well."""
    async with typed(gateway, line) as process:
        output, _ = await process.communicate()
        assert process.returncode == 0, line
    return output.decode()


async def first_words(gateway: Gateway, line: str, wanted: str) -> str:
    """Of a stream, until it has said what is wanted."""
    text = ""
    async with typed(gateway, line) as process:
        assert process.stdout is not None
        while wanted not in text:
            more = await process.stdout.read(4_096)
            assert more, text
            text += more.decode(errors="replace")
    return text
