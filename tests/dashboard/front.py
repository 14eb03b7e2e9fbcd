"""What may stand before the gateway: a path prefix, a demand for a key. A uvicorn of its own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Open to all: the page itself cannot send a key.
PAGE = ("/assets/dashboard/",)


class Prefixed:
    """Knows nothing outside of its prefix, as a proxy that serves several applications does."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(self._prefix)
        if path == scope["path"]:
            await PlainTextResponse("of another application", 404)(scope, receive, send)
            return
        await self._app({**scope, "path": path, "raw_path": path.encode()}, receive, send)


class Locked:
    """The contract's keys: `X-API-Key` for REST, a first message for the stream, 401 and 4401."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key
        self.keys: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._app(scope, self._first_word(receive, send), send)
            return
        given = dict(scope["headers"]).get(b"x-api-key", b"").decode()
        is_page = scope["path"] == "/" or scope["path"].startswith(PAGE)
        if not is_page and given != self._key:
            await PlainTextResponse("unauthorized", 401)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _first_word(self, receive: Receive, send: Send) -> Receive:
        is_known = False

        async def guarded() -> Message:
            nonlocal is_known
            message = await receive()
            if is_known or message["type"] != "websocket.receive":
                return message
            said = json.loads(message["text"])
            self.keys.append(said.get("key", ""))
            if said["op"] != "auth" or said["key"] != self._key:
                await send({"type": "websocket.close", "code": 4401, "reason": "no key"})
                return {"type": "websocket.disconnect", "code": 4401}
            is_known = True
            return await receive()

        return guarded


@asynccontextmanager
async def front(app: ASGIApp) -> AsyncIterator[str]:
    """The address where `app` is served."""
    config = uvicorn.Config(
        app, "127.0.0.1", 0, lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
