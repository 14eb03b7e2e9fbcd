"""Pure ASGI layers around every route: a request id, HEAD, a net for our bugs, the last word."""

import asyncio
import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.edge.problems import problem

log = logging.getLogger("gateway")
#: What the layers outside of HeadAsGet, too, want to know of the route that was found.
ROUTED = ("route", "endpoint")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
ID_BYTES, DRAWN_AT_ONCE = 16, 256


def _drawn() -> Iterator[bytes]:
    """From the system by the hundred: to ask it each time would cost a tenth of an answer."""
    while True:
        drawn = os.urandom(ID_BYTES * DRAWN_AT_ONCE).hex().encode()
        yield from (drawn[at : at + 2 * ID_BYTES] for at in range(0, len(drawn), 2 * ID_BYTES))


_new_id = _drawn().__next__


def request_id_for(sent: bytes) -> bytes:
    """What the client sent, if it looks like an id; else a new one."""
    if sent and _REQUEST_ID.fullmatch(sent):
        return sent
    return _new_id()


class RequestId:
    """Gives each request an id, echoed when one is sent, on every answer there is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get("x-request-id", "")
        request_id = request_id_for(sent.encode("latin-1")).decode()
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)


class BugNet:
    """Turns a bug of ours into a problem document; stands inside CORS, so that it is readable."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def watched_send(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception:
            request = Request(scope)
            log.exception("request %s failed", request.state.request_id)
            if has_begun:
                raise
            answer = problem(request, "internal_error", "it is in the log, by request id")
            await answer(scope, receive, send)


class LastWord:
    """Tells those who still wait at the end that it is the end: uvicorn would show them a bug.

    The server says by `app.state.is_ending` that it is; another's cancellation is none of ours.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if scope["type"] != "http" or not getattr(scope["app"].state, "is_ending", False):
                raise
            told = "the gateway stops, and nobody has answered in time"
            with suppress(RuntimeError):  # its answer had begun: that is cut
                answer = problem(Request(scope), "deadline_exceeded", told)
                await answer(scope, receive, send)


class HeadAsGet:
    """Answers HEAD as GET without the body, headers and length as GET would have them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        inner = {**scope, "method": "GET", "is_head": True}

        async def send_head(message: Message) -> None:
            scope.update({key: inner[key] for key in ROUTED if key in inner})
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app(inner, receive, send_head)
