"""`python -m tests.api.examples` writes api/examples.json: what a gateway in front of the tests'
providers answers, cut to a row or two."""

import asyncio
import os
import tempfile
from typing import Any
from unittest.mock import patch

import httpx
import orjson

from api.hf_unified_server import create_app
from api.openapi import EXAMPLES
from backend.gateway import open_gateway, read_configuration
from tests.clocks import EPOCH, ManualClock
from tests.world.server import World

#: By the path of the document: what is asked.
ASKED = {
    "/api/market": ("/api/market?limit=2", "/api/market?limit=2&format=csv"),
    "/api/market/{coin}": ("/api/market/bitcoin",),
    "/api/market/ohlc": (
        "/api/market/ohlc?symbol=BTC&interval=1h&limit=2",
        "/api/market/ohlc?symbol=BTC&interval=1h&limit=2&format=csv",
    ),
    "/api/news": ("/api/news?limit=1", "/api/news?limit=1&format=csv"),
    "/api/sentiment": ("/api/sentiment?days=2",),
    "/api/gas": ("/api/gas",),
    "/api/status/explain": ("/api/status/explain?category=ohlc",),
    "/healthz": ("/healthz",),
    "/readyz": ("/readyz",),
}


async def collected() -> dict[str, dict[str, Any]]:
    clock = ManualClock(EPOCH)
    async with World(clock) as world:
        with patch.dict(os.environ, world.environment(STATE_PATH="")):
            configuration = read_configuration()
        app = create_app(
            configuration, lambda one: open_gateway(one, clock=clock, jitter=lambda: 1.0)
        )
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                return {path: await _answers(client, asked) for path, asked in ASKED.items()}


async def _answers(client: httpx.AsyncClient, asked: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for question in asked:
        answer = await client.get(question)
        assert answer.status_code == 200, answer.text
        media = answer.headers["content-type"].partition(";")[0]
        found[media] = answer.json() if media == "application/json" else answer.text
    return found


if __name__ == "__main__":
    os.chdir(tempfile.mkdtemp())  # no .env of the developer's
    EXAMPLES.write_bytes(orjson.dumps(asyncio.run(collected()), option=orjson.OPT_INDENT_2) + b"\n")
