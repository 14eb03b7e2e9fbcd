"""The response cache: views encoded once a refresh, and the responses made of them.

A view is one selection of one answer in one format, encoded. A route looks its view up by a key of
its own and stores it here; several URLs may lead to the same view. The complete response to a URL
is stored with its view, one for each combination of the request headers that it depends on. The
edge sends it again, without routing, for as long as the view's answer is valid.
`PREPARED_ANSWERS=false` stores views only: responses are the same, byte for byte.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from starlette.types import Scope

from api.cache.body import Body, matches
from backend.bounded_map import BoundedMap
from backend.models.answer import Validity

#: Header fields as the server gives them, and by name where none is repeated.
RawHeaders = list[tuple[bytes, bytes]]
Fields = dict[bytes, bytes]
#: Fields that announce a body.
_BODY = frozenset((b"content-length", b"transfer-encoding"))
#: Largest size in bytes of all fields of a request that the cache answers.
MAX_CACHED_FIELD_BYTES = 32 * 1024
#: Size of all views and responses together; the least recently used view is dropped first.
MAX_BYTES = 32 * 1024 * 1024
#: Views of larger bodies (all pairs of a venue: 15 MB) are apart, as one would displace all others.
#: Most of these views that are kept, without responses.
LARGE_BYTES, MAX_LARGE = 4 * 1024 * 1024, 2
#: Bytes that a view costs besides its body, and a response besides its view.
VIEW_BYTES, RESPONSE_BYTES = 1_024, 4_096
#: A longer URL (path and query) is rarely requested twice.
MAX_TARGET_BYTES = 1_024
#: Largest number of URLs of one view, of responses to one URL (one for each combination of request
#: headers), and of bytes of these headers. The oldest URL or response is dropped first.
MAX_TARGETS, MAX_VARIANTS, MAX_VARIANT_BYTES = 16, 16, 512

#: The headers that differ by request, in the order in which a response has them.
PER_REQUEST = (b"age", b"ratelimit", b"x-request-id")

#: The request headers that a response depends on: Accept-Encoding, Origin, and whether
#: If-None-Match names the view.
VariantKey = tuple[bytes | None, bytes | None, bool]
#: Adds the headers of the edge to those of a route, given the request's Origin.
CompleteHeaders = Callable[[RawHeaders, bytes | None], RawHeaders]


def plain_fields(headers: RawHeaders) -> Fields | None:
    """Fields by name; None for a request that the cache leaves to the application, because it has
    a repeated field, a body, or very long headers.

    Runs for every request, so all loops are in built-in functions.
    """
    fields = dict(headers)
    if len(fields) != len(headers) or not _BODY.isdisjoint(fields):
        return None
    size = sum(map(len, fields)) + sum(map(len, fields.values()))
    return fields if size <= MAX_CACHED_FIELD_BYTES else None


def target_of(scope: Scope) -> bytes:
    """Path and query as the request's first line has them. Some test servers give no raw path."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return b"%b?%b" % (path, query) if query else path


class StoredResponse(NamedTuple):
    """A response that is ready to be sent again, except for the headers that differ by request.

    `labels` are those that each further use is counted with.
    """

    status: int
    headers: RawHeaders
    #: Positions in `headers` of those that differ by request.
    positions: tuple[int, ...]
    #: The headers as HTTP/1.1 sends them, with a `%b` for each value that differs by request.
    lines: bytes
    body: bytes
    labels: tuple[str, int, str]

    def headers_with(self, values: tuple[bytes, ...]) -> RawHeaders:
        """`values` of the headers that differ by request, in their order."""
        headers = self.headers.copy()
        for position, value in zip(self.positions, values, strict=True):
            headers[position] = headers[position][0], value
        return headers


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One encoded view of one refresh, and the responses made of it by URL."""

    key: bytes
    refresh_id: int
    body: Body
    targets: "dict[bytes, Target]" = field(default_factory=dict)

    @property
    def size(self) -> int:
        """An estimate in bytes: all compressed bodies together are smaller than the plain one."""
        responses = sum(len(target.variants) for target in self.targets.values())
        return 2 * len(self.body.content) + VIEW_BYTES + responses * RESPONSE_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """The responses to one URL."""

    view: View
    validity: Validity
    variants: dict[VariantKey, StoredResponse] = field(default_factory=dict)


class ResponseCache:
    """One LRU of views with their responses, bounded in bytes."""

    def __init__(self, complete_headers: CompleteHeaders, *, stores_responses: bool = True) -> None:
        self._complete_headers = complete_headers
        self.stores_responses = stores_responses
        self._views: OrderedDict[bytes, View] = OrderedDict()
        self._large: BoundedMap[bytes, View] = BoundedMap(MAX_LARGE)
        self._targets: dict[bytes, Target] = {}
        self._bytes = 0

    def __repr__(self) -> str:
        counts = f"{len(self._views)} views, {len(self._targets)} URLs"
        return f"<ResponseCache {counts}, {self._bytes} bytes>"

    # Views, for the routes

    def view(self, key: bytes, refresh_id: int) -> View | None:
        """The view, if it is of this refresh."""
        if key in self._views:
            self._views.move_to_end(key)
        view = self._views.get(key) or self._large.get(key)
        return view if view and view.refresh_id == refresh_id else None

    def add_view(self, view: View) -> None:
        """Replaces the view of an earlier refresh, and drops its responses."""
        self._drop(view.key)
        if len(view.body.content) > LARGE_BYTES:
            self._large.set(view.key, view)
            return
        self._views[view.key] = view
        self._bytes += view.size
        self._shrink()

    def add_response(
        self,
        view: View,
        validity: Validity,
        target: bytes,
        fields: Fields,
        response: tuple[int, RawHeaders, bytes],
        template: str,
    ) -> None:
        """Stores a route's response (status, headers, body) to `target`, a request with `fields`.

        Nothing is stored that could not be reused: of an answer that is no longer valid, for a long
        URL or long headers, or without a length, as the server then chooses how to send the body.
        """
        status, headers, body = response
        has_length = status == 304 or b"content-length" in dict(headers)
        named = fields.get(b"accept-encoding", b""), fields.get(b"origin", b"")
        is_short = len(target) <= MAX_TARGET_BYTES and sum(map(len, named)) <= MAX_VARIANT_BYTES
        is_current = self._views.get(view.key) is view and validity.current_age_s() is not None
        if not (self.stores_responses and has_length and is_short and is_current):
            return
        complete = self._complete_headers(headers, fields.get(b"origin"))
        self._bytes -= view.size
        variants = self._target(view, validity, target).variants
        key = _variant_key(fields, view.body.digest)
        variants.pop(key, None)
        variants[key] = _stored(status, complete, body, template)
        if len(variants) > MAX_VARIANTS:
            del variants[next(iter(variants))]
        self._bytes += view.size
        self._shrink()

    # Responses, for the edge

    def find(self, target: bytes, fields: Fields) -> tuple[StoredResponse, Target, float] | None:
        """The response to a GET request of this URL and these header fields, the URL's entry, and
        the age of the data in seconds."""
        found = self._targets.get(target)
        if found is None:
            return None
        age_s = found.validity.current_age_s()
        if age_s is None:
            return None
        response = found.variants.get(_variant_key(fields, found.view.body.digest))
        return (response, found, age_s) if response is not None else None

    def record_hit(self, target: Target) -> None:
        """A response is sent: a use of its view, and a read of its answer."""
        self._views.move_to_end(target.view.key)
        target.validity.note_hit()

    def _target(self, view: View, validity: Validity, target: bytes) -> Target:
        """The URL's entry in `view`, in place of one in another view or of an earlier validity."""
        known = self._targets.get(target)
        if known is not None and known.view is view and known.validity == validity:
            return known
        if known is not None and known.view is not view:
            self._bytes -= known.view.size
            del known.view.targets[target]
            self._bytes += known.view.size
        view.targets.pop(target, None)
        if len(view.targets) >= MAX_TARGETS:
            oldest = next(iter(view.targets))
            del view.targets[oldest], self._targets[oldest]
        view.targets[target] = self._targets[target] = made = Target(view, validity)
        return made

    def _shrink(self) -> None:
        while self._bytes > MAX_BYTES and len(self._views) > 1:
            self._drop(next(iter(self._views)))

    def _drop(self, key: bytes) -> None:
        view = self._views.pop(key, None)
        if view is not None:
            self._bytes -= view.size
            for target in view.targets:
                del self._targets[target]
            view.targets.clear()  # they refer to the view: it goes now, not with a later collection


def _variant_key(fields: Fields, digest: str) -> VariantKey:
    condition = fields.get(b"if-none-match")
    is_known = condition is not None and matches(condition.decode("latin-1"), digest)
    return fields.get(b"accept-encoding"), fields.get(b"origin"), is_known


def _stored(status: int, headers: RawHeaders, body: bytes, template: str) -> StoredResponse:
    """From a response with all of its headers: a hit from now on, whatever it was at first."""
    headers = [(name, b"hit" if name == b"x-cache" else value) for name, value in headers]
    positions = [(name, at) for at, (name, _) in enumerate(headers) if name in PER_REQUEST]
    assert [name for name, _ in positions] == [one for one in PER_REQUEST if one in dict(headers)]
    lines = b"".join(
        b"%b: %%b\r\n" % name
        if name in PER_REQUEST
        else b"%b: %b\r\n" % (name, value.replace(b"%", b"%%"))
        for name, value in headers
    )
    labels = template, status, "hit"
    return StoredResponse(status, headers, tuple(at for _, at in positions), lines, body, labels)
