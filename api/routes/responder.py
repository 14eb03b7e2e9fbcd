"""How data routes respond: with views that are encoded once a refresh, through the cache."""

import asyncio
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from fastapi import Request, Response

from api.cache.body import body_of, respond_with
from api.cache.formats import Encode
from api.cache.response_cache import ResponseCache, View, plain_fields, target_of
from api.edge.access_control import KEY_HEADERS
from api.edge.client_limits import account_of
from api.edge.path_policies import PathPolicies, route_path
from api.edge.request_counts import template_of
from backend.gateway import Gateway
from backend.models.answer import Answer
from backend.services.page import Page

#: Rows of a table that cost its client one unit: encoded as CSV they take about 2 ms.
ROWS_PER_UNIT = 500
#: Rows from which on encoding takes over 5 ms, and runs in a thread.
THREAD_ROWS = 1_500
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Responder:
    """Responds with views of the cache; each is encoded once a refresh.

    With `is_private` only clients with a key may have the data, so shared caches must not store it.
    """

    def __init__(
        self, cache: ResponseCache, policies: PathPolicies, *, is_private: bool = False
    ) -> None:
        self._cache = cache
        self._policies = policies
        self._is_private = is_private
        self._cache_scope = "private" if is_private else "public"

    async def respond(
        self,
        request: Request,
        answer: Answer[Any],
        selection: Hashable,
        page: Callable[[], Page[Any]],
        encode: Encode,
        *,
        is_slow: bool = False,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Response:
        """The envelope of `answer`, or 304. `selection` names the view; `page` and `encode` make
        it, and run once a refresh. `is_slow`: `page` takes over 5 ms, and runs in a thread.
        `headers` are further ones; they may differ only by refresh and URL.

        The client pays for a long table before it is made. Raises ClientLimitReached.
        """
        view = await self._view(request, answer, selection, page, encode, is_slow=is_slow)
        # Both are differences of floats: 59.999 s are a minute.
        lifetime_s = int(answer.age_s + answer.ttl_left_s + 0.001) if answer.ttl_left_s > 0 else 0
        complete = {
            **headers,
            "Age": str(int(answer.age_s)),
            "X-Cache": answer.cache,
            # The whole lifetime: a cache subtracts Age from it (RFC 9111, 4.2).
            "Cache-Control": f"{self._cache_scope}, max-age={lifetime_s}",
            "Vary": self._vary(request),
        }
        response = await respond_with(request, view.body, complete)
        self._store(request, answer, view, response)
        return response

    def _vary(self, request: Request) -> str:
        """A cache that stores private responses must not give one client's to another."""
        if not self._is_private:
            return "Accept-Encoding"
        places = self._policies.key_places(route_path(request.scope))
        return ", ".join(("Accept-Encoding", *KEY_HEADERS, *places.headers))

    def _store(self, request: Request, answer: Answer[Any], view: View, response: Response) -> None:
        fields = plain_fields(request.scope["headers"]) if self._cache.stores_responses else None
        if fields is None or answer.stale or answer.validity is None:
            return
        self._cache.add_response(
            view,
            answer.validity,
            target_of(request.scope),
            fields,
            (response.status_code, response.raw_headers, bytes(response.body)),
            template_of(request.scope),
        )

    async def _view(
        self,
        request: Request,
        answer: Answer[Any],
        selection: Hashable,
        page: Callable[[], Page[Any]],
        encode: Encode,
        *,
        is_slow: bool,
    ) -> View:
        key = _digest(selection)
        if (cached := self._cache.view(key, answer.refresh_id)) is not None:
            return cached
        shown = await asyncio.to_thread(page) if is_slow else page()
        rows = len(shown.rows) if isinstance(shown.rows, tuple) else 1
        account_of(request.scope).charge(rows // ROWS_PER_UNIT)
        if rows < THREAD_ROWS:
            content, content_type = encode(answer, shown)
        else:
            content, content_type = await asyncio.to_thread(encode, answer, shown)
        view = View(key, answer.refresh_id, body_of(content, content_type))
        self._cache.add_view(view)
        return view


def gateway_of(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def responder_of(request: Request) -> Responder:
    responder: Responder = request.app.state.responder
    return responder


@lru_cache(maxsize=128)
def _digest(selection: Hashable) -> bytes:
    """Of a fixed length: a selection may have hundreds of names that a client chose."""
    return blake2b(repr(selection).encode(), digest_size=16).digest()
