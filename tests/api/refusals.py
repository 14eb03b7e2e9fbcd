"""Every error that the OpenAPI document lists, recorded from gateways that have to respond so."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import orjson
from starlette.types import Message

from api.edge.access_control import MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_URL_BYTES
from api.hf_unified_server import Application, create_app
from api.stream.sinks import QueueSink
from backend.gateway import open_gateway, read_configuration
from backend.providers.registry import REGISTRY
from tests.clocks import ManualClock
from tests.world.faults import HTTP_FAULTS
from tests.world.messages import json_reply
from tests.world.server import PROVIDERS, World

PROBES = ("/healthz", "/readyz")
#: A valid request, by the path of the document.
RIGHT = {
    "/api/market": "/api/market?symbols=BTC",
    "/api/market/{coin}": "/api/market/bitcoin",
    "/api/global": "/api/global",
    "/api/market/ohlc": "/api/market/ohlc?symbol=BTC",
    "/api/search": "/api/search?q=bitc",
    "/api/news": "/api/news",
    "/api/sentiment": "/api/sentiment",
    "/api/gas": "/api/gas",
    "/api/stream": "/api/stream?symbols=BTC",
}
#: One whose first parameter is wrong.
WRONG = {
    "/api/market": "/api/market?limit=0",
    "/api/market/{coin}": f"/api/market/{'bitcoin' * 10}",
    "/api/global": "/api/global?format=xml",
    "/api/market/ohlc": "/api/market/ohlc?symbol=",
    "/api/search": "/api/search?q=bitc&limit=51",
    "/api/news": "/api/news?limit=201",
    "/api/sentiment": "/api/sentiment?days=0",
    "/api/gas": "/api/gas?format=xml",
    "/api/stream": "/api/stream?channels=weather",
    "/api/status/explain": "/api/status/explain?category=weather",
}
#: One with an unknown parameter.
UNKNOWN = {
    "/api/market": "/api/market?symbol=BTC",
    "/api/market/{coin}": "/api/market/bitcoin?convert=usd",
    "/api/global": "/api/global?limit=1",
    "/api/market/ohlc": "/api/market/ohlc?symbol=BTC&timeframe=1h",
    "/api/search": "/api/search?q=bitc&query=bitc",
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
#: One for what no provider serves.
UNSUPPORTED = {
    "/api/market": "/api/market?currency=xyz",
    "/api/market/{coin}": "/api/market/bitcoin?currency=xyz",
    "/api/global": "/api/global?currency=xyz",
    "/api/market/ohlc": "/api/market/ohlc?symbol=BTC&currency=xyz",
    "/api/gas": "/api/gas?chain=dogecoin",
    "/api/stream": "/api/stream?channels=gas&chain=dogecoin",
}
#: Those that resolve symbols, with `bitcion`.
BY_NAME = {
    "/api/market": "/api/market?symbols=bitcion",
    "/api/market/{coin}": "/api/market/bitcion",
    "/api/market/ohlc": "/api/market/ohlc?symbol=bitcion",
    "/api/stream": "/api/stream?symbols=bitcion",
}
LOCKED = {path: RIGHT.get(path, path) for path in UNKNOWN if path not in PROBES}
#: The providers that all valid requests call first.
FIRST_PROVIDERS = ("coingecko_free", "rss_coindesk", "alternative_me", "ethereum_rpc")
REQUEST_ID = "3d2deb723e4b4628b4a36011f0f1243d"
KEY = "one-gateway-key"
#: As a provider reports it.
QUOTA_SPENT = {"429_month": lambda _facts: json_reply({"error": "monthly quota exceeded"}, 429)}
#: Replaces a value of the wall clock, which differs in each run.
RETRY_AFTER_S = 12

Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One response; names of headers are in lower case."""

    path: str
    status: int
    headers: Headers
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        recorded: dict[str, Any] = orjson.loads(self.body)
        if self.status == 429:
            recorded["retry_after_seconds"] = RETRY_AFTER_S
        return recorded


@asynccontextmanager
async def started(world: World, clock: ManualClock, **settings: str) -> AsyncIterator[Application]:
    """An application in front of the world, with these settings."""
    with patch.dict(os.environ, world.environment(STATE_PATH="", **settings)):
        configuration = read_configuration()
    app = create_app(configuration, lambda one: open_gateway(one, clock=clock, jitter=lambda: 1.0))
    async with app.router.lifespan_context(app):
        yield app


def scope_of(asked: str, headers: Headers, method: str = "GET") -> dict[str, Any]:
    """As a server makes it: httpx sends no URL that is too long."""
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
) -> Recorded:
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    headers = {"X-Request-Id": REQUEST_ID, **(headers or {})}
    async with asyncio.timeout(10):
        await app(scope_of(asked, headers, method), receive, send)
    recorded = {name.decode().lower(): text.decode() for name, text in messages[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return Recorded(path, messages[0]["status"], recorded, body)


async def refused(world: World, clock: ManualClock) -> list[Recorded]:
    """All errors, each once."""
    return [
        *await _refused_by_the_edge(world, clock),
        *await _over_the_limit(world, clock),
        *await _failed(world, clock),
        *await _without_providers(world, clock),
        *await _without_symbols(world, clock),
        *await _with_spent_quotas(world, clock),
        *await _at_shutdown(world, clock),
        await _with_too_many_stream_clients(world, clock),
    ]


async def _refused_by_the_edge(world: World, clock: ManualClock) -> list[Recorded]:
    key = {"X-API-Key": KEY}
    large = [{"Content-Length": str(MAX_BODY_BYTES + 1)}, {"Cookie": "x" * MAX_HEADER_BYTES}]
    async with _limited(world, clock, GATEWAY_API_KEYS=KEY) as app:
        recorded = [await ask(app, path, asked) for path, asked in LOCKED.items()]
        for path, asked in LOCKED.items():
            recorded += [await ask(app, path, asked, headers) for headers in large]
            long = f"{asked.partition('?')[0]}?x={'x' * MAX_URL_BYTES}"
            recorded.append(await ask(app, path, long))
        for questions in (WRONG, UNKNOWN, UNSUPPORTED, BY_NAME):
            recorded += [await ask(app, path, asked, key) for path, asked in questions.items()]
        return recorded


def _limited(
    world: World, clock: ManualClock, **settings: str
) -> AbstractAsyncContextManager[Application]:
    return started(world, clock, CLIENT_RATE_LIMIT="600/minute", **settings)


async def _over_the_limit(world: World, clock: ManualClock) -> list[Recorded]:
    """The first request is HEAD, as the stream would not end."""
    recorded = []
    async with started(world, clock, CLIENT_RATE_LIMIT="1/hour", TRUST_PROXY="1") as app:
        for number, (path, asked) in enumerate(LOCKED.items()):
            client = {"X-Forwarded-For": f"192.0.2.{number}"}
            await ask(app, path, asked, client, "HEAD")
            recorded.append(await ask(app, path, asked, client))
    return recorded


async def _failed(world: World, clock: ManualClock) -> list[Recorded]:
    world.faults = dict.fromkeys(PROVIDERS, "http500")
    async with _limited(world, clock) as app:
        recorded = await _each(app, RIGHT.items())
    world.faults = {}
    return recorded


async def _each(app: Application, questions: Iterable[tuple[str, str]]) -> list[Recorded]:
    return [await ask(app, path, asked) for path, asked in questions]


async def _without_providers(world: World, clock: ManualClock) -> list[Recorded]:
    disabled = {f"{spec.name.upper()}_ENABLED": "false" for spec in REGISTRY}
    async with _limited(world, clock, **disabled) as app:
        return await _each(app, [*RIGHT.items(), ("/readyz", "/readyz")])


async def _without_symbols(world: World, clock: ManualClock) -> list[Recorded]:
    """Binance alone knows pairs, but no names of coins."""
    async with _limited(world, clock, COINGECKO_FREE_ENABLED="false") as app:
        return await _each(app, BY_NAME.items())


async def _with_spent_quotas(world: World, clock: ManualClock) -> list[Recorded]:
    """First all providers are called, and fail; an hour later none is."""
    world.faults = dict.fromkeys(PROVIDERS, "429_month")
    with patch.dict(HTTP_FAULTS, QUOTA_SPENT):
        async with _limited(world, clock) as app:
            await _each(app, RIGHT.items())
            clock.advance(3_600)
            recorded = await _each(app, RIGHT.items())
    world.faults = {}
    return recorded


async def _at_shutdown(world: World, clock: ManualClock) -> list[Recorded]:
    """The gateway stops while requests wait for providers."""
    world.delay_s = 60.0
    async with _limited(world, clock) as app:
        world.calls.clear()
        waiting = [asyncio.create_task(ask(app, *one)) for one in RIGHT.items()]
        async with asyncio.timeout(10):
            while not all(world.calls[name] for name in FIRST_PROVIDERS):
                await asyncio.sleep(0.1)
        app.state.is_ending = True
        for task in waiting:
            task.cancel()
        recorded = await asyncio.gather(*waiting)
    world.delay_s = 0.0
    return recorded


async def _with_too_many_stream_clients(world: World, clock: ManualClock) -> Recorded:
    async with _limited(world, clock, WS_MAX_CLIENTS="1") as app:
        app.state.broadcaster.join(QueueSink())
        return await ask(app, "/api/stream", "/api/stream")
