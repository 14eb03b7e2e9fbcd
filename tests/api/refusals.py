"""Every refusal that the OpenAPI document lists, had of gateways that have to refuse."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import orjson
from starlette.types import Message

from api.edge.request_sizes import MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_URL_BYTES
from api.hf_unified_server import Application, create_app
from api.routes.status import PROBES
from api.stream.sinks import QueueSink
from backend.gateway import open_gateway, read_configuration
from backend.providers.registry import REGISTRY
from tests.clocks import ManualClock
from tests.world.faults import HTTP_FAULTS
from tests.world.messages import json_reply
from tests.world.server import PROVIDERS, World

#: By the path of the document: a right question.
RIGHT = {
    "/api/market": "/api/market?symbols=BTC",
    "/api/market/{coin}": "/api/market/bitcoin",
    "/api/market/ohlc": "/api/market/ohlc?symbol=BTC",
    "/api/news": "/api/news",
    "/api/sentiment": "/api/sentiment",
    "/api/gas": "/api/gas",
    "/api/stream": "/api/stream?symbols=BTC",
}
#: One that is wrong in its first parameter.
WRONG = {
    "/api/market": "/api/market?limit=0",
    "/api/market/{coin}": f"/api/market/{'bitcoin' * 10}",
    "/api/market/ohlc": "/api/market/ohlc?symbol=",
    "/api/news": "/api/news?limit=201",
    "/api/sentiment": "/api/sentiment?days=0",
    "/api/gas": "/api/gas?format=xml",
    "/api/stream": "/api/stream?channels=weather",
    "/api/status/explain": "/api/status/explain?category=weather",
}
#: One with a parameter that the route does not know.
UNKNOWN = {
    "/api/market": "/api/market?symbol=BTC",
    "/api/market/{coin}": "/api/market/bitcoin?convert=usd",
    "/api/market/ohlc": "/api/market/ohlc?symbol=BTC&timeframe=1h",
    "/api/news": "/api/news?currencies=BTC",
    "/api/sentiment": "/api/sentiment?limit=7",
    "/api/gas": "/api/gas?network=ethereum",
    "/api/stream": "/api/stream?channel=gas",
    "/api/status": "/api/status?category=gas",
    "/api/status/explain": "/api/status/explain?categories=gas",
    "/metrics": "/metrics?name=gas",
    "/healthz": "/healthz?verbose=1",
    "/readyz": "/readyz?verbose=1",
}
#: One about what no provider serves.
UNSUPPORTED = {
    "/api/market": "/api/market?currency=eur",
    "/api/market/{coin}": "/api/market/bitcoin?currency=eur",
    "/api/market/ohlc": "/api/market/ohlc?symbol=BTC&currency=eur",
    "/api/gas": "/api/gas?chain=dogecoin",
}
#: Those that look names up, asked for `bitcion`.
BY_NAME = {
    "/api/market": "/api/market?symbols=bitcion",
    "/api/market/{coin}": "/api/market/bitcion",
    "/api/market/ohlc": "/api/market/ohlc?symbol=bitcion",
    "/api/stream": "/api/stream?symbols=bitcion",
}
LOCKED = {path: RIGHT.get(path, path) for path in UNKNOWN if path not in PROBES}
#: Whom those wait for who ask all right questions.
FIRSTS = ("coingecko_free", "rss_coindesk", "alternative_me", "ethereum_rpc")
REQUEST_ID = "3d2deb723e4b4628b4a36011f0f1243d"
KEY = "one-key-of-ours"
#: As a provider says it; our own limits never do.
QUOTA_SPENT = {"429_month": lambda _facts: json_reply({"error": "monthly quota exceeded"}, 429)}
#: The wall clock's, and another in each run.
RETRY_AFTER_S = 12

Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """One answer, whole; names of headers in small letters."""

    path: str
    status: int
    headers: Headers
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        told: dict[str, Any] = orjson.loads(self.body)
        if self.status == 429:
            told["retry_after_seconds"] = RETRY_AFTER_S
        return told


@asynccontextmanager
async def started(world: World, clock: ManualClock, **settings: str) -> AsyncIterator[Application]:
    """An application in front of the world, with these settings."""
    with patch.dict(os.environ, world.environment(STATE_PATH="", **settings)):
        configuration = read_configuration()
    app = create_app(configuration, lambda one: open_gateway(one, clock=clock, jitter=lambda: 1.0))
    async with app.router.lifespan_context(app):
        yield app


def scope_of(asked: str, headers: Headers, method: str = "GET") -> dict[str, Any]:
    """As a server would tell of it: httpx makes no address that is too long."""
    path, _, query = asked.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": None,
    }


async def ask(
    app: Application, path: str, asked: str, headers: Headers | None = None, method: str = "GET"
) -> Told:
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    headers = {"X-Request-Id": REQUEST_ID, **(headers or {})}
    async with asyncio.timeout(10):
        await app(scope_of(asked, headers, method), receive, send)
    told = {name.decode().lower(): text.decode() for name, text in messages[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return Told(path, messages[0]["status"], told, body)


async def refused(world: World, clock: ManualClock) -> list[Told]:
    """All of them, each once."""
    return [
        *await _at_the_door(world, clock),
        *await _too_often(world, clock),
        *await _failed(world, clock),
        *await _nobody_to_ask(world, clock),
        *await _without_names(world, clock),
        *await _spent(world, clock),
        *await _at_the_end(world, clock),
        await _one_reader_too_many(world, clock),
    ]


async def _at_the_door(world: World, clock: ManualClock) -> list[Told]:
    key = {"X-API-Key": KEY}
    large = [{"Content-Length": str(MAX_BODY_BYTES + 1)}, {"Cookie": "x" * MAX_HEADER_BYTES}]
    async with _limited(world, clock, GATEWAY_API_KEYS=KEY) as app:
        told = [await ask(app, path, asked) for path, asked in LOCKED.items()]
        for path, asked in LOCKED.items():
            told += [await ask(app, path, asked, headers) for headers in large]
            long = f"{asked.partition('?')[0]}?x={'x' * MAX_URL_BYTES}"
            told.append(await ask(app, path, long))
        for questions in (WRONG, UNKNOWN, UNSUPPORTED, BY_NAME):
            told += [await ask(app, path, asked, key) for path, asked in questions.items()]
        return told


def _limited(
    world: World, clock: ManualClock, **settings: str
) -> AbstractAsyncContextManager[Application]:
    return started(world, clock, CLIENT_RATE_LIMIT="600/minute", **settings)


async def _too_often(world: World, clock: ManualClock) -> list[Told]:
    """The first question with HEAD, as the stream would not end."""
    told = []
    async with started(world, clock, CLIENT_RATE_LIMIT="1/hour", TRUST_PROXY="1") as app:
        for number, (path, asked) in enumerate(LOCKED.items()):
            client = {"X-Forwarded-For": f"192.0.2.{number}"}
            await ask(app, path, asked, client, "HEAD")
            told.append(await ask(app, path, asked, client))
    return told


async def _failed(world: World, clock: ManualClock) -> list[Told]:
    world.faults = dict.fromkeys(PROVIDERS, "http500")
    async with _limited(world, clock) as app:
        told = await _each(app, RIGHT.items())
    world.faults = {}
    return told


async def _each(app: Application, questions: Iterable[tuple[str, str]]) -> list[Told]:
    return [await ask(app, path, asked) for path, asked in questions]


async def _nobody_to_ask(world: World, clock: ManualClock) -> list[Told]:
    disabled = {f"{spec.name.upper()}_ENABLED": "false" for spec in REGISTRY}
    async with _limited(world, clock, **disabled) as app:
        return await _each(app, [*RIGHT.items(), ("/readyz", "/readyz")])


async def _without_names(world: World, clock: ManualClock) -> list[Told]:
    """Binance alone knows pairs, and no coin by its name."""
    async with _limited(world, clock, COINGECKO_FREE_ENABLED="false") as app:
        return await _each(app, BY_NAME.items())


async def _spent(world: World, clock: ManualClock) -> list[Told]:
    """The first time they are asked all together, and fail; an hour later nobody is."""
    world.faults = dict.fromkeys(PROVIDERS, "429_month")
    with patch.dict(HTTP_FAULTS, QUOTA_SPENT):
        async with _limited(world, clock) as app:
            await _each(app, RIGHT.items())
            clock.advance(3_600)
            told = await _each(app, RIGHT.items())
    world.faults = {}
    return told


async def _at_the_end(world: World, clock: ManualClock) -> list[Told]:
    """The gateway stops while providers are waited for."""
    world.delay_s = 60.0
    async with _limited(world, clock) as app:
        world.calls.clear()
        waiting = [asyncio.create_task(ask(app, *one)) for one in RIGHT.items()]
        async with asyncio.timeout(10):
            while not all(world.calls[name] for name in FIRSTS):
                await asyncio.sleep(0.1)
        app.state.is_ending = True
        for task in waiting:
            task.cancel()
        told = await asyncio.gather(*waiting)
    world.delay_s = 0.0
    return told


async def _one_reader_too_many(world: World, clock: ManualClock) -> Told:
    async with _limited(world, clock, WS_MAX_CLIENTS="1") as app:
        app.state.broadcaster.join(QueueSink())
        return await ask(app, "/api/stream", "/api/stream")
