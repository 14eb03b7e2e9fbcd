"""`python -m tests.api.examples` writes api/examples.json: what gateways in front of the tests'
providers answer, cut to a row or two, and how they refuse."""

import asyncio
import os
import tempfile
from collections.abc import Iterable
from typing import Any

import httpx
import orjson
from fastapi import FastAPI
from starlette.types import Message

from api.edge.problems import PROBLEM
from api.openapi import EXAMPLES
from tests.api.refusals import Recorded, refused, scope_of, started
from tests.clocks import EPOCH, ManualClock
from tests.world.server import World

#: By the path of the document: what is asked.
ASKED: dict[str, tuple[str, ...]] = {
    "/api/market": ("/api/market?limit=2", "/api/market?limit=2&format=csv"),
    "/api/market/{coin}": ("/api/market/bitcoin", "/api/market/bitcoin?format=csv"),
    "/api/global": ("/api/global", "/api/global?format=csv"),
    "/api/market/ohlc": (
        "/api/market/ohlc?symbol=BTC&interval=1h&limit=2",
        "/api/market/ohlc?symbol=BTC&interval=1h&limit=2&format=csv",
    ),
    "/api/search": ("/api/search?q=coin-1&limit=2", "/api/search?q=coin-1&limit=2&format=csv"),
    "/api/status": ("/api/status",),
    "/metrics": ("/metrics",),
    "/api/news": ("/api/news?limit=1", "/api/news?limit=1&format=csv"),
    "/api/sentiment": ("/api/sentiment?days=2", "/api/sentiment?days=2&format=csv"),
    "/api/gas": ("/api/gas", "/api/gas?format=csv"),
    "/api/status/explain": ("/api/status/explain?category=ohlc",),
    "/healthz": ("/healthz",),
    "/readyz": ("/readyz",),
}
#: Metrics that have the same values on every machine.
STEADY = ("gateway_provider_state", "gateway_cache_hits_total", "gateway_answer_age_seconds")


#: By path and media type; of problems, by code.
Examples = dict[str, dict[str, Any]]


async def collected() -> Examples:
    clock = ManualClock(EPOCH)
    async with World(clock) as world:
        found = await _answered(world, clock)
        return _with_problems(found, await refused(world, clock))


async def _answered(world: World, clock: ManualClock) -> Examples:
    async with started(world, clock) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            found = {path: await _answers(client, asked) for path, asked in ASKED.items()}
        found["/api/stream"] = {"text/event-stream": await _first_events(app)}
        return found


def _with_problems(found: Examples, refusals: Iterable[Recorded]) -> Examples:
    for error in refusals:
        problems = found[error.path].setdefault(PROBLEM, {})
        assert error.problem["code"] not in problems, error
        problems[error.problem["code"]] = error.problem
    return found


async def _answers(client: httpx.AsyncClient, asked: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for question in asked:
        answer = await client.get(question)
        assert answer.status_code == 200, answer.text
        media = answer.headers["content-type"].partition(";")[0]
        found[media] = answer.json() if media == "application/json" else answer.text
    return _cut(found)


def _cut(found: dict[str, Any]) -> dict[str, Any]:
    """Of status two providers, of metrics two samples each: the rest is more of the same."""
    status = found.get("application/json", {})
    if "providers" in status and "rotation" in status:
        status["providers"] = status["providers"][:2]
    if "text/plain" in found:
        families = found["text/plain"].split("# HELP ")
        kept = [family for family in families if family.partition(" ")[0] in STEADY]
        found["text/plain"] = "".join(f"# HELP {_lines(family, 4)}" for family in kept)
    return found


def _lines(text: str, count: int) -> str:
    return "".join(text.splitlines(keepends=True)[:count])


async def _first_events(app: FastAPI) -> str:
    """What a reader of one coin hears until it has seen it."""
    text, is_seen = bytearray(), asyncio.Event()
    questions = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if questions:
            return questions.pop()
        await is_seen.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        text.extend(message.get("body", b""))
        if b'"snapshot"' in text:
            is_seen.set()

    scope = scope_of("/api/stream?channels=market&symbols=BTC", {})
    async with asyncio.timeout(10):
        await app(scope, receive, send)
    events = text.decode().split("\n\n")
    last = next(at for at, event in enumerate(events) if '"snapshot"' in event)
    return "\n\n".join(events[: last + 1]) + "\n\n"


if __name__ == "__main__":
    os.chdir(tempfile.mkdtemp())  # no .env of the developer's
    EXAMPLES.write_bytes(orjson.dumps(asyncio.run(collected()), option=orjson.OPT_INDENT_2) + b"\n")
