"""Redirects of paths with trailing slashes, by references relative to the request's URL.

A relative Location (RFC 9110, 10.2.2) is right behind any proxy, as it has no scheme, host or path
prefix. It begins with `./` or `../`, so it can never name another host.
"""

import re
from urllib.parse import quote

from fastapi import FastAPI, Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

#: Trailing slashes that are redirected; the reference grows with each.
MAX_SLASHES = 8
_TRAILING = re.compile(rb"(?:/|%2[fF])+$")
#: Characters that a path segment and a query may have unencoded (RFC 3986).
_IN_SEGMENT, _IN_QUERY = "%!$&'()*+,;=:@", "%!$&'()*+,;=:@/?[]"


def reference_without_slashes(scope: Scope) -> str | None:
    """The path without trailing slashes, and the query, relative to the request's URL.

    `../gas?x=1` for `/api/gas/?x=1`; None for a path without a trailing slash, or with too many.
    """
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    target = _TRAILING.sub(b"", raw)
    trailing = raw[len(target) :].lower().replace(b"%2f", b"/").count(b"/")
    if not target or not 1 <= trailing <= MAX_SLASHES:
        return None
    # An encoded slash is part of its segment: only a plain one leads a level up.
    way_up = "../" * raw[len(target) :].count(b"/") or "./"
    name = quote(target.rpartition(b"/")[2], safe=_IN_SEGMENT)
    query = quote(scope["query_string"], safe=_IN_QUERY)
    return f"{way_up}{name}?{query}" if query else way_up + name


def redirect(reference: str) -> Response:
    return Response(status_code=307, headers={"Location": reference})


class SlashRedirects:
    """Answers paths that no route matches: a redirect for a trailing slash, else 404."""

    def __init__(self, app: FastAPI) -> None:
        self._router = app.router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            reference = reference_without_slashes(scope)
            if reference and self._is_known({**scope, "path": scope["path"].rstrip("/")}):
                await redirect(reference)(scope, receive, send)
                return
        await self._router.not_found(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        routes: list[BaseRoute] = self._router.routes
        return any(route.matches(scope)[0] is not Match.NONE for route in routes)
