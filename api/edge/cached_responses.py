"""Responses of the response cache, for the server and for the edge: found, counted and logged.

What a response depends on is read from a request's head apart from the lookup, so that the server
may keep it for the next request with the same bytes.
"""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from api.cache.response_cache import Fields, RawHeaders, ResponseCache, StoredResponse, plain_fields
from api.edge.access_control import AccessControl, Caller
from api.edge.access_log import AccessLog
from api.edge.request_counts import RequestCounts
from api.server.hooks import Peer

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
#: Bytes of a random id, and the number of ids for which random bytes are read at once.
ID_BYTES, IDS_PER_READ = 16, 256
#: Values of the headers that differ by request.
Values = tuple[bytes, ...]


def _random_ids() -> Iterator[bytes]:
    """Reads random bytes for many ids at once: a read for each one took a tenth of a response."""
    while True:
        text = os.urandom(ID_BYTES * IDS_PER_READ).hex().encode()
        yield from (text[at : at + 2 * ID_BYTES] for at in range(0, len(text), 2 * ID_BYTES))


_new_id = _random_ids().__next__


def request_id_for(sent: bytes) -> bytes:
    """`sent` (the X-Request-Id of the request) if it is a valid id, else a new one."""
    if sent and _REQUEST_ID.fullmatch(sent):
        return sent
    return _new_id()


class CachedRequest(NamedTuple):
    """What a cached response depends on, as one request's head has it."""

    is_head: bool
    target: bytes
    fields: Fields
    caller: Caller


class CachedResponses:
    """The part of the edge that the server may ask before it starts the application."""

    def __init__(
        self,
        cache: ResponseCache,
        access: AccessControl,
        counts: RequestCounts,
        log: AccessLog | None = None,
    ) -> None:
        self._cache, self._access, self._counts, self._log = cache, access, counts, log

    def __repr__(self) -> str:
        return f"<CachedResponses of {self._cache!r}>"

    def read(self, method: str, target: bytes, headers: RawHeaders) -> CachedRequest | None:
        """None for a request that the application has to answer, whatever the cache has."""
        if method not in ("GET", "HEAD") or not self._cache.stores_responses:
            return None
        fields = plain_fields(headers)
        caller = None if fields is None else self._access.caller(headers, fields)
        if fields is None or caller is None:
            return None
        return CachedRequest(method == "HEAD", target, fields, caller)

    def respond(self, request: CachedRequest, peer: Peer) -> tuple[int, bytes, bytes] | None:
        """Status, header lines and body of a cached response, which is counted and logged. None
        where the application has to answer."""
        found = self.find(request, peer)
        if found is None:
            return None
        response, values = found
        body = b"" if request.is_head else response.body
        if self._log is not None:
            scope = {"client": peer, "headers": list(request.fields.items())}
            method, size, request_id = "HEAD" if request.is_head else "GET", len(body), values[-1]
            self._log.record(scope, method, request.target, response.status, size, request_id)
        return response.status, response.lines % values, body

    def find(self, request: CachedRequest, peer: Peer) -> tuple[StoredResponse, Values] | None:
        """The response, which is counted, and the values of its headers that differ by request. A
        request that is not admitted is not counted: the edge counts and refuses it."""
        hit = self._cache.find(request.target, request.fields)
        if hit is None:
            return None
        rate_limit = self._access.admit_cached(request.caller, peer)
        if rate_limit is None:
            return None
        response, entry, age_s = hit
        self._cache.record_hit(entry)
        self._counts[response.labels] += 1
        age, request_id = b"%d" % age_s, request_id_for(request.fields.get(b"x-request-id", b""))
        return response, (age, rate_limit, request_id) if rate_limit else (age, request_id)
