"""Questions that make the gateway write, and what it wrote."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from tests.life.process import Gateway

#: Each question is a new one to the providers: logs and state are written for it.
QUICK = {"CACHE_TTL_MARKET": "0.05", "CACHE_TTL_GAS": "0.05"}


async def ask(gateway: Gateway, times: int = 10) -> None:
    """Each time providers are asked, so that logs and state file have something to hold."""
    for _ in range(times):
        for path in ("/api/market?limit=1", "/api/gas"):
            answer = await gateway.client.get(path)
            assert answer.status_code == 200, answer.text
        await asyncio.sleep(0.06)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


async def until(claim: Callable[[], object], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not claim():
            await asyncio.sleep(0.05)
