"""The README's lines, typed as they stand but for the gateway's port and the folder of Python."""

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.life.process import Gateway
from tests.readme.document import ADDRESS

PATIENCE_S = 20


@asynccontextmanager
async def typed(gateway: Gateway, line: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs as long as the block."""
    command = line.replace(ADDRESS, f"localhost:{gateway.port}")
    command = command.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
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
