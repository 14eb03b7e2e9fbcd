"""Redirects of paths with trailing slashes, by references relative to the request's URL.

A relative Location (RFC 9110, 10.2.2) is right behind any proxy, as it has no scheme, host or path
prefix. It begins with `./` or `../`, so it can never name another host.
"""

import re
from urllib.parse import quote

from fastapi import Response
from starlette.routing import Match, Router
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


async def redirect_slashes(router: Router, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers paths that no route matches: a redirect for a trailing slash, else 404."""
    if scope["type"] == "http" and (reference := reference_without_slashes(scope)):
        wanted = {**scope, "path": scope["path"].rstrip("/")}
        if any(route.matches(wanted)[0] is not Match.NONE for route in router.routes):
            await redirect(reference)(scope, receive, send)
            return
    await router.not_found(scope, receive, send)
