"""Envelopes: `{data, meta}` encoded once a refresh and sent as the same bytes until the next."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from fastapi import Request, Response

from api.cache.compression import LEAST_BYTES, THREAD_BYTES, coding_for, compressed
from api.cache.etags import etag_of, matches
from api.cache.field_values import field_value
from api.cache.response_cache import offer_again
from api.edge.client_limits import account_of
from api.encoding import to_json
from backend.models.answer import Answer
from backend.services.market import Page

#: From an answer and a page of it to a body and its media type.
Encode = Callable[[Answer[Any], Page[Any]], tuple[bytes, str]]

JSON = "application/json"
#: Prepared bodies of all views together; the least recently asked goes first.
MOST_BYTES = 32 * 1024 * 1024
#: What a body costs besides its content.
OVERHEAD_BYTES = 1_024


#: Request headers that a key may come in, where GATEWAY_API_KEYS are set.
KEY_HEADERS = ("Authorization", "X-API-Key")


class Format(StrEnum):
    JSON = "json"
    CSV = "csv"


class OhlcFormat(StrEnum):
    JSON = "json"
    CSV = "csv"
    ARRAYS = "arrays"


@dataclass(frozen=True, slots=True)
class Body:
    """One view of one refresh, ready to send; `coded` holds it as compressed so far, by coding."""

    refresh_id: int
    content: bytes
    content_type: str
    digest: str
    coded: dict[str, bytes] = field(default_factory=dict)
    under_way: dict[str, asyncio.Task[bytes]] = field(default_factory=dict)


#: A table of so many rows costs its client a unit: as CSV about 2 ms of this process.
ROWS_A_UNIT = 500
#: From here on encoding takes over 5 ms: a thread's work.
THREAD_ROWS = 1_500


class Responder:
    """Answers with prepared bodies: one for each view, until its answer is refreshed.

    With `is_private` only clients with a key may have them, so no shared cache may keep them.
    """

    def __init__(self, *, is_private: bool = False) -> None:
        self._scope = "private" if is_private else "public"
        # A cache that keeps them all the same must not give one client's answer to another.
        self._vary = ", ".join(("Accept-Encoding", *(KEY_HEADERS if is_private else ())))
        self._bodies: OrderedDict[bytes, Body] = OrderedDict()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Responder {len(self._bodies)} bodies, {self._bytes} bytes>"

    async def respond(
        self,
        request: Request,
        answer: Answer[Any],
        view: Hashable,
        page: Callable[[], Page[Any]],
        *,
        encode: Encode,
    ) -> Response:
        """The envelope of `answer` seen as `view`, or 304; `page` and `encode` run once each.

        A long table is charged to its client before it is made. Raises ClientLimitReached.
        """
        body = await self._body(request, answer, view, page, encode)
        accepted = field_value(request.headers, "accept-encoding")
        coding = coding_for(accepted, is_small=len(body.content) < LEAST_BYTES)
        headers = {
            "Age": str(int(answer.age_s)),
            "X-Cache": answer.cache,
            # The whole life, as a cache takes Age off it (RFC 9111).
            "Cache-Control": f"{self._scope}, max-age={_lifetime_s(answer)}",
            "ETag": etag_of(body.digest, coding),
            "Vary": self._vary,
        }
        if not answer.stale:
            offer_again(request.scope, answer.validity, body.digest)
        if matches(field_value(request.headers, "if-none-match"), body.digest):
            return Response(status_code=304, headers=headers)
        content = await self._coded(body, coding)
        if coding:
            headers["Content-Encoding"] = coding
        return Response(content, media_type=body.content_type, headers=headers)

    async def _body(
        self,
        request: Request,
        answer: Answer[Any],
        view: Hashable,
        page: Callable[[], Page[Any]],
        encode: Encode,
    ) -> Body:
        # A digest: a view may hold hundreds of names that a reader chose.
        key = blake2b(repr(view).encode(), digest_size=16).digest()
        body = self._bodies.get(key)
        if body is None or body.refresh_id != answer.refresh_id:
            shown = page()
            rows = len(shown.rows) if isinstance(shown.rows, tuple) else 1
            account_of(request.scope).charge(rows // ROWS_A_UNIT)
            if rows < THREAD_ROWS:
                content, content_type = encode(answer, shown)
            else:
                content, content_type = await asyncio.to_thread(encode, answer, shown)
            digest = blake2b(content, digest_size=12).hexdigest()
            body = Body(answer.refresh_id, content, content_type, digest)
            self._keep(key, body)
        self._bodies.move_to_end(key)
        return body

    async def _coded(self, body: Body, coding: str) -> bytes:
        """Compressed once; what would hold up all other readers, in a thread."""
        if not coding:
            return body.content
        if coding not in body.coded:
            if len(body.content) < THREAD_BYTES:
                body.coded[coding] = compressed(body.content, coding)
            else:
                task = body.under_way.get(coding) or asyncio.create_task(
                    asyncio.to_thread(compressed, body.content, coding)
                )
                body.under_way[coding] = task  # of all who wait for it
                body.coded[coding] = await asyncio.shield(task)
                body.under_way.pop(coding, None)
        return body.coded[coding]

    def _keep(self, key: bytes, body: Body) -> None:
        replaced = self._bodies.pop(key, None)
        self._bytes += _cost(body) - (_cost(replaced) if replaced else 0)
        self._bodies[key] = body
        while self._bytes > MOST_BYTES and len(self._bodies) > 1:
            _, oldest = self._bodies.popitem(last=False)
            self._bytes -= _cost(oldest)


def _cost(body: Body) -> int:
    """Compressed in all codings it takes less than once more."""
    return 2 * len(body.content) + OVERHEAD_BYTES


def json_envelope(answer: Answer[Any], page: Page[Any]) -> tuple[bytes, str]:
    return to_json({"data": page.rows, "meta": meta(answer, page)}), JSON


def meta(answer: Answer[Any], page: Page[Any]) -> dict[str, Any]:
    """What describes the refresh; nothing in it changes by the second."""
    latency_ms = answer.latency_ms
    return {
        "source": answer.source,
        "latency_ms": None if latency_ms is None else round(latency_ms, 1),
        "fetched_at": answer.fetched_at,
        "expires_at": answer.expires_at,
        "stale": answer.stale,
        "stale_reason": answer.stale_reason,
        "tried": [
            {
                "provider": attempt.provider,
                "outcome": attempt.outcome,
                "latency_ms": None if attempt.latency_ms is None else round(attempt.latency_ms, 1),
            }
            for attempt in answer.tried
        ],
        "count": len(page.rows) if isinstance(page.rows, tuple) else 1,
        "total": page.total,
        "warnings": [*answer.warnings, *page.warnings],
    }


def _lifetime_s(answer: Answer[Any]) -> int:
    # Both are differences of floats: 59.999 s are a minute.
    return int(answer.age_s + answer.ttl_left_s + 0.001) if answer.ttl_left_s > 0 else 0
