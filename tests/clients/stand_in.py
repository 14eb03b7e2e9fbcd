"""The given stand-in for CoinGecko and Binance (`fake.py`), in a process of its own."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.life.process import KEPT, free_port

START_S = 30.0


@asynccontextmanager
async def standing_in(python: Path, scripts: Path, mode: str) -> AsyncIterator[dict[str, str]]:
    """The variables that point a gateway to it. `mode` is `ok`, `limit` or `down`."""
    port = free_port()
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(str(python), "-B", str(scripts / "fake.py"), "--port", str(port)),
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
        env=kept,
    )
    try:
        await _set_mode(process, port, mode)
        yield addresses(port)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def addresses(port: int) -> dict[str, str]:
    return {
        "COINGECKO_FREE_BASE_URL": f"http://127.0.0.1:{port}/coingecko/api/v3",
        "BINANCE_BASE_URL": f"http://127.0.0.1:{port}/binance",
        "BINANCE_STREAM_URL": f"ws://127.0.0.1:{port}/binance",
    }


async def _set_mode(process: asyncio.subprocess.Process, port: int, mode: str) -> None:
    """Returns when it has answered."""
    async with asyncio.timeout(START_S), httpx.AsyncClient() as client:
        while True:
            assert process.returncode is None, "the stand-in has ended"
            try:
                told = await client.post(f"http://127.0.0.1:{port}/_ctl?mode={mode}")
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                assert told.json() == {"mode": mode}
                return
