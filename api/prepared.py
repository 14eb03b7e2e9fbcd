"""Prepared answers: what was just answered is answered again from memory, in front of everything.

The first answer to a question (method, path, raw query) goes the whole way through all layers and
FastAPI. On its way the `Responder` leaves word of what it depends on (`offer_again`), and what came
out of the outermost layer is kept here: status, headers and body, for each set of the request's
headers that it may depend on. While everything that it depends on is current (no refresh came, none
is due), the same question gets the same bytes; only its age, its request id and what is left of the
client's limit are made anew. Keys and limits are asked as ever. Whatever is not known here, or may
not pass, goes on to the application untouched. `PREPARED_ANSWERS=false` leaves this layer out, and
nobody can tell.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.counting import RequestCounts, template_of
from api.doors import MOST_HEADER_BYTES, ClientLimits, GatewayKeys, client_of, rate_limit
from api.etags import matches
from api.middleware import request_id_for
from backend.models.answer import Hold

#: Of all questions together; the one asked longest ago goes first.
MOST_BYTES, OVERHEAD_BYTES = 32 * 1024 * 1024, 4_096
#: A longer question is seldom asked twice.
LONGEST_QUESTION = 1_024
#: Kept of one question: combinations of codings, origins and 304s.
MOST_VARIANTS = 16
#: Request headers that say that there is a body.
BODY = frozenset((b"content-length", b"transfer-encoding"))
SLOT, START = "prepared", "http.response.start"
#: What differs from answer to answer.
AGE, REQUEST_ID, X_CACHE, RATE_LIMIT = b"age", b"x-request-id", b"x-cache", b"ratelimit"


@dataclass(slots=True)
class Slot:
    """What the responder says of the answer under way."""

    holds: tuple[Hold, ...] = ()
    digest: str = ""


def offer_again(scope: Scope, holds: tuple[Hold, ...], digest: str) -> None:
    """This answer may be given again while `holds` are current; `digest` names its body."""
    slot: Slot | None = scope.get(SLOT)
    if slot is not None:
        slot.holds, slot.digest = holds, digest


@dataclass(frozen=True, slots=True)
class Prepared:
    """One answer as it left the outermost layer, and where in its headers the volatile ones are."""

    status: int
    headers: list[tuple[bytes, bytes]]
    places: dict[bytes, int]
    body: bytes
    counted_as: tuple[str, int, str]


#: A request's headers; by Accept-Encoding, Origin and 304 answers differ.
Asked = dict[bytes, bytes]
Key = tuple[bytes | None, bytes | None, bool]


@dataclass(slots=True)
class Question:
    """What is kept of one path and query, all of one refresh."""

    name: tuple[str, bytes]
    holds: tuple[Hold, ...]
    digest: str
    variants: dict[Key | None, Prepared] = field(default_factory=dict)
    size: int = 0

    def current_age_s(self) -> float | None:
        """Of its own data; None once anything that it depends on is not current."""
        age_s = None
        for hold in self.holds:
            age_s = hold.current_age_s()
            if age_s is None:
                return None
        return age_s


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
        self._keys = keys
        self._limits = limits
        self._trusted_proxies = trusted_proxies
        self._counts = counts
        self._templates = templates
        self._questions: OrderedDict[tuple[str, bytes], Question] = OrderedDict()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<PreparedAnswers {len(self._questions)} questions, {self._bytes} bytes>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        question = self._questions.get((scope["path"], scope["query_string"]))
        age_s = question.current_age_s() if question is not None else None
        if question is not None and age_s is not None and scope["method"] in ("GET", "HEAD"):
            asked = _read(scope)
            prepared = question.variants.get(_key(asked, question.digest))
            if prepared and asked is not None and self._has_key(asked):
                passes, left = await self._counted(scope) if self._limits else (True, b"")
                if passes:
                    self._count(question, prepared)
                    headers = _renewed(prepared, asked, age_s, left)
                    start = {"type": START, "status": prepared.status, "headers": headers}
                    await send(start)
                    body = prepared.body if scope["method"] == "GET" else b""
                    await send({"type": "http.response.body", "body": body})
                    return
        if scope["method"] == "GET" and _length(scope) <= LONGEST_QUESTION:
            await self._learn(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _has_key(self, asked: Asked) -> bool:
        if not self._keys:
            return True
        sent = {name: asked.get(name.encode(), b"") for name in ("authorization", "x-api-key")}
        return self._keys.admits({name: text.decode("latin-1") for name, text in sent.items()})

    async def _counted(self, scope: Scope) -> tuple[bool, bytes]:
        """Whether the client's limits let it pass, and what is left of them. A refused request is
        not counted by the limits, so that the application may refuse it in its own words."""
        passes, left, reset_s = await self._limits.hit(client_of(scope, self._trusted_proxies))
        return passes, rate_limit(left, reset_s).encode()

    def _count(self, question: Question, prepared: Prepared) -> None:
        self._questions.move_to_end(question.name)
        self._counts[prepared.counted_as] += 1
        for hold in question.holds:
            hold.note_hit()

    async def _learn(self, scope: Scope, receive: Receive, send: Send) -> None:
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
        if slot.holds and start and body and not body.get("more_body"):
            asked = _read(scope)
            if asked is not None:
                self._keep(scope, slot, asked, start, body.get("body", b""))

    def _keep(self, scope: Scope, slot: Slot, asked: Asked, start: Message, body: bytes) -> None:
        name = scope["path"], scope["query_string"]
        question = self._questions.get(name)
        if question is None or question.holds != slot.holds or question.digest != slot.digest:
            self._drop(name)
            question = Question(name, slot.holds, slot.digest)
            self._questions[name] = question
        if len(question.variants) >= MOST_VARIANTS:
            return
        prepared = _prepared(start, body, template_of(scope, self._templates))
        question.variants[_key(asked, slot.digest)] = prepared
        question.size += len(body) + OVERHEAD_BYTES
        self._bytes += len(body) + OVERHEAD_BYTES
        while self._bytes > MOST_BYTES:
            self._drop(next(iter(self._questions)))

    def _drop(self, name: tuple[str, bytes]) -> None:
        question = self._questions.pop(name, None)
        self._bytes -= question.size if question else 0


def _renewed(
    prepared: Prepared, asked: Asked, age_s: float, left: bytes
) -> list[tuple[bytes, bytes]]:
    """The same headers again, with what is new in them."""
    headers, places = prepared.headers.copy(), prepared.places
    request_id = request_id_for(asked.get(REQUEST_ID, b""))
    headers[places[AGE]] = AGE, b"%d" % age_s
    headers[places[REQUEST_ID]] = REQUEST_ID, request_id
    if left:
        headers[places[RATE_LIMIT]] = RATE_LIMIT, left
    return headers


def _prepared(start: Message, body: bytes, template: str) -> Prepared:
    """From now on it is a hit, whatever it was the first time."""
    headers = [(name, b"hit" if name == X_CACHE else text) for name, text in start["headers"]]
    volatile = (AGE, REQUEST_ID, RATE_LIMIT)
    places = {name: place for place, (name, _) in enumerate(headers) if name in volatile}
    return Prepared(start["status"], headers, places, body, (template, start["status"], "hit"))


def _read(scope: Scope) -> Asked | None:
    """The headers; None where the application is to look closer: at a header that came twice, a
    body, or headers without measure. All in C: this is done for each request."""
    headers = scope["headers"]
    asked: Asked = dict(headers)
    if len(asked) != len(headers) or not BODY.isdisjoint(asked):
        return None
    size = sum(map(len, asked)) + sum(map(len, asked.values()))
    return asked if size <= MOST_HEADER_BYTES else None


def _key(asked: Asked | None, digest: str) -> Key | None:
    if asked is None:
        return None
    condition = asked.get(b"if-none-match")
    is_known = condition is not None and matches(condition.decode("latin-1"), digest)
    return asked.get(b"accept-encoding"), asked.get(b"origin"), is_known


def _length(scope: Scope) -> int:
    return len(scope["path"]) + len(scope["query_string"])
