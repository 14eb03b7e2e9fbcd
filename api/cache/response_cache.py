"""Prepared answers: what was just answered is answered again from memory, in front of everything.

The first answer to a question (method, path, raw query) goes the whole way through all layers and
FastAPI. On its way the `Responder` leaves word of what it depends on (`offer_again`), and what came
out of the outermost layer is kept here: status, headers and body, for each set of the request's
headers that it may depend on. While everything that it depends on is current (no refresh came, none
is due), the same question gets the same bytes; only its age, its request id and what is left of the
client's limit are made anew. Keys and limits are asked as ever. Whatever is not known here, or may
not pass, goes on to the application untouched. `PREPARED_ANSWERS=false` leaves this layer out, and
nobody can tell. A server that wants an answer without a task for it asks `at_once`.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.cache.etags import matches
from api.edge.access_control import MAX_HEADER_BYTES, GatewayKeys
from api.edge.client_limits import ClientLimits, client_address, rate_limit
from api.edge.middleware import request_id_for
from api.edge.request_counts import RequestCounts, template_of
from backend.models.answer import Validity

#: Of all questions together; the one asked longest ago goes first.
MOST_BYTES, OVERHEAD_BYTES = 32 * 1024 * 1024, 4_096
#: A longer question is seldom asked twice.
LONGEST_QUESTION = 1_024
#: Kept of one question: combinations of codings, origins and 304s; those headers' longest.
MOST_VARIANTS, LONGEST_HEADERS = 16, 512
#: Request headers that say that there is a body.
BODY = frozenset((b"content-length", b"transfer-encoding"))
SLOT, START = "prepared", "http.response.start"
#: What differs from answer to answer.
AGE, REQUEST_ID, X_CACHE, RATE_LIMIT = b"age", b"x-request-id", b"x-cache", b"ratelimit"
VOLATILE = AGE, REQUEST_ID, RATE_LIMIT


@dataclass(slots=True)
class Slot:
    """What the responder says of the answer under way."""

    validity: Validity | None = None
    digest: str = ""


def offer_again(scope: Scope, validity: Validity | None, digest: str) -> None:
    """This answer may be reused while `validity` holds; `digest` identifies its body."""
    slot: Slot | None = scope.get(SLOT)
    if slot is not None:
        slot.validity, slot.digest = validity, digest


@dataclass(frozen=True, slots=True)
class Prepared:
    """One answer as it left the outermost layer, and where in its headers the volatile ones are;
    `lines` are the headers as they are sent, with gaps for those. Without a length there are none:
    then the server has to have its say."""

    status: int
    headers: list[tuple[bytes, bytes]]
    places: dict[bytes, int]
    lines: bytes
    body: bytes
    counted_as: tuple[str, int, str]


#: A request's headers; by Accept-Encoding, Origin and 304 answers differ.
Asked = dict[bytes, bytes]
Key = tuple[bytes | None, bytes | None, bool]


@dataclass(slots=True)
class Question:
    """What is kept of one path and query, all of one refresh."""

    target: bytes
    validity: Validity
    digest: str
    variants: dict[Key | None, Prepared] = field(default_factory=dict)
    size: int = 0


class Found(NamedTuple):
    """What may be given again, to whom."""

    question: Question
    prepared: Prepared
    asked: Asked
    age_s: float


class PreparedAnswers:
    """The outermost layer. `counts` are those of CountRequests, which it goes around."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: GatewayKeys,
        limits: ClientLimits,
        trusted_proxies: int,
        counts: RequestCounts,
        templates: Mapping[object, str],
    ) -> None:
        self._app = app
        self._keys = keys or None  # what asks nobody is not asked each time
        self._limits = limits or None
        self._trusted_proxies = trusted_proxies
        self._counts = counts
        self._templates = templates
        self._questions: OrderedDict[bytes, Question] = OrderedDict()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<PreparedAnswers {len(self._questions)} questions, {self._bytes} bytes>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        target = _target(scope)
        found = self._found(scope["method"], target, scope["headers"])
        if found is not None:
            left = self._left(scope)
            if left is not None:
                await self._again(found, left, scope, send)
                return
        if scope["method"] == "GET" and len(target) <= LONGEST_QUESTION:
            await self._learn(target, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def at_once(self, scope: Scope, method: str, target: bytes) -> tuple[int, bytes, bytes] | None:
        """Status, header lines and body, counted; None where it has to go the usual way. Of
        `scope` only client and headers are asked, so a server need not have parsed the target."""
        found = self._found(method, target, scope["headers"])
        if found is None or not found.prepared.lines:
            return None
        left = b""
        if self._limits is not None:
            verdict = self._limits.hit(client_address(scope, self._trusted_proxies))
            if not verdict.passes:
                return None
            left = rate_limit(verdict).encode()
        self._count(found)
        prepared = found.prepared
        lines = prepared.lines % _volatile(found, left)
        return prepared.status, lines, prepared.body if method == "GET" else b""

    def _found(
        self, method: str, target: bytes, headers: list[tuple[bytes, bytes]]
    ) -> Found | None:
        question = self._questions.get(target)
        if question is None or method not in ("GET", "HEAD"):
            return None
        age_s = question.validity.current_age_s()
        asked = None if age_s is None else _read(headers)
        if age_s is None or asked is None:
            return None
        if self._keys is not None and not _admitted(self._keys, asked):
            return None
        prepared = question.variants.get(_key(asked, question.digest))
        return Found(question, prepared, asked, age_s) if prepared is not None else None

    async def _again(self, found: Found, left: bytes, scope: Scope, send: Send) -> None:
        self._count(found)
        prepared = found.prepared
        headers, values = prepared.headers.copy(), _volatile(found, left)
        for name, place in prepared.places.items():
            headers[place] = name, values[name]
        await send({"type": START, "status": prepared.status, "headers": headers})
        body = prepared.body if scope["method"] == "GET" else b""
        await send({"type": "http.response.body", "body": body})

    def _left(self, scope: Scope) -> bytes | None:
        """What the client's limits leave it; None if nothing: that is not counted then, so that
        the application may refuse it in its own words."""
        if self._limits is None:
            return b""
        verdict = self._limits.hit(client_address(scope, self._trusted_proxies))
        return rate_limit(verdict).encode() if verdict.passes else None

    def _count(self, found: Found) -> None:
        self._questions.move_to_end(found.question.target)
        self._counts[found.prepared.counted_as] += 1
        found.question.validity.note_hit()

    async def _learn(self, target: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        """The whole way; what comes out is kept if the responder left word that it may be."""
        slot = scope[SLOT] = Slot()
        start: Message = {}
        body: Message = {}

        async def kept_send(message: Message) -> None:
            nonlocal start, body
            if message["type"] == START:
                start = message
            elif message["type"] == "http.response.body":
                body = message if not body else {"more_body": True}  # in pieces: not kept
            await send(message)

        await self._app(scope, receive, kept_send)
        validity = slot.validity
        if validity is None or validity.current_age_s() is None:
            return
        if start and body and not body.get("more_body"):
            asked = _read(scope["headers"])
            if asked is not None and _is_short(asked):
                template = template_of(scope, self._templates)
                prepared = _prepared(start, body.get("body", b""), template)
                self._keep(target, validity, slot.digest, asked, prepared)

    def _keep(
        self, target: bytes, validity: Validity, digest: str, asked: Asked, prepared: Prepared
    ) -> None:
        question = self._questions.get(target)
        if question is None or (question.validity, question.digest) != (validity, digest):
            self._drop(target)
            question = self._questions[target] = Question(target, validity, digest)
        key = _key(asked, digest)
        if len(question.variants) >= MOST_VARIANTS:
            self._put(question, next(iter(question.variants)), None)  # the one kept longest
        self._put(question, key, prepared)
        while self._bytes > MOST_BYTES:
            self._drop(next(iter(self._questions)))

    def _put(self, question: Question, key: Key | None, prepared: Prepared | None) -> None:
        last = question.variants.pop(key, None)
        if prepared is not None:
            question.variants[key] = prepared
        grown = _size(prepared) - _size(last)
        question.size += grown
        self._bytes += grown

    def _drop(self, target: bytes) -> None:
        question = self._questions.pop(target, None)
        self._bytes -= question.size if question else 0


def _admitted(keys: GatewayKeys, asked: Asked) -> bool:
    sent = {name: asked.get(name.encode(), b"") for name in ("authorization", "x-api-key")}
    return keys.admits({name: text.decode("latin-1") for name, text in sent.items()})


def _size(prepared: Prepared | None) -> int:
    return len(prepared.body) + OVERHEAD_BYTES if prepared is not None else 0


def _is_short(asked: Asked) -> bool:
    """What a variant is kept by is kept with it, and not counted."""
    named = (b"accept-encoding", b"origin")
    return sum(len(asked.get(name, b"")) for name in named) <= LONGEST_HEADERS


def _target(scope: Scope) -> bytes:
    """As it stands in the request's first line; a server in a test may not tell the path's."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return b"%b?%b" % (path, query) if query else path


def _volatile(found: Found, left: bytes) -> dict[bytes, bytes]:
    request_id = request_id_for(found.asked.get(REQUEST_ID, b""))
    return {AGE: b"%d" % found.age_s, REQUEST_ID: request_id, RATE_LIMIT: left}


def _prepared(start: Message, body: bytes, template: str) -> Prepared:
    """From now on it is a hit, whatever it was the first time."""
    headers = [(name, b"hit" if name == X_CACHE else text) for name, text in start["headers"]]
    places = {name: place for place, (name, _) in enumerate(headers) if name in VOLATILE}
    counted_as = template, start["status"], "hit"
    return Prepared(start["status"], headers, places, _lines(start, headers), body, counted_as)


def _lines(start: Message, headers: list[tuple[bytes, bytes]]) -> bytes:
    names = {name for name, _ in headers}
    if b"content-length" not in names and start["status"] != 304:
        return b""
    return b"".join(
        b"%b: %%(%b)b\r\n" % (name, name)
        if name in VOLATILE
        else b"%b: %b\r\n" % (name, text.replace(b"%", b"%%"))
        for name, text in headers
    )


def _read(headers: list[tuple[bytes, bytes]]) -> Asked | None:
    """The headers; None where the application is to look closer: at a header that came twice, a
    body, or headers without measure. All in C: this is done for each request."""
    asked: Asked = dict(headers)
    if len(asked) != len(headers) or not BODY.isdisjoint(asked):
        return None
    size = sum(map(len, asked)) + sum(map(len, asked.values()))
    return asked if size <= MAX_HEADER_BYTES else None


def _key(asked: Asked | None, digest: str) -> Key | None:
    if asked is None:
        return None
    condition = asked.get(b"if-none-match")
    is_known = condition is not None and _matches(condition, digest)
    return asked.get(b"accept-encoding"), asked.get(b"origin"), is_known


@lru_cache(maxsize=512)  # who polls sends the same tag until there is another answer
def _matches(condition: bytes, digest: str) -> bool:
    return matches(condition.decode("latin-1"), digest)
