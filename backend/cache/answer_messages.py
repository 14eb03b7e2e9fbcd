"""The messages by which processes ask each other for answers: a JSON header, and an answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from backend.cache.answer_store import AnswerCodec
from backend.cache.freshness import SharedAnswer
from backend.errors import (
    AllProvidersFailed,
    DeadlineExceeded,
    GatewayError,
    NoProviderConfigured,
    QuotaExhausted,
    SourceUnavailable,
)
from backend.models.answer import Attempt, Query
from backend.models.status import Refusal

_REFUSALS: TypeAdapter[tuple[Refusal, ...]] = TypeAdapter(tuple[Refusal, ...])
_TRIED: TypeAdapter[tuple[Attempt, ...]] = TypeAdapter(tuple[Attempt, ...])
_KINDS: Mapping[str, type[SourceUnavailable]] = {
    kind.code: kind for kind in (AllProvidersFailed, NoProviderConfigured, QuotaExhausted)
}


#: Longer times would not fit into a date.
_Seconds = Annotated[float, Field(ge=0, le=366 * 86_400)]


class _Header(BaseModel):
    """The first line of a message. `error` is that of `_error_of`; the times are in seconds."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    category: str
    query: dict[str, Any]
    held_at: float | None = None
    is_ack: bool = False
    error: dict[str, Any] | None = None
    age_s: _Seconds | None = None
    ttl_s: _Seconds = 0.0
    refresh_s: _Seconds = 0.0


@dataclass(frozen=True, slots=True)
class Question:
    """A question to the leader. `held_at` is when the asker's own answer was fetched (epoch
    seconds), None where it has none."""

    category: str
    query: Query[Any]
    held_at: float | None


@dataclass(frozen=True, slots=True)
class Reply:
    """The leader's reply: that it works on it, an answer, an error, or an old answer and the error
    that made it stale. `body` is the encoded answer, empty for none."""

    category: str
    query: Query[Any]
    is_ack: bool
    error: GatewayError | None
    header: _Header
    body: bytes


class MessageCodec:
    """Encodes and decodes the messages. `codecs` are by category.

    What cannot be decoded comes from another version, or is damaged: it is dropped.
    """

    def __init__(self, codecs: Mapping[str, AnswerCodec[Any, Any]]) -> None:
        self._codecs = codecs

    def question(self, category: str, query: Query[Any], held_at: float | None) -> bytes:
        return self._line(category, query, held_at=held_at)

    def ack(self, category: str, query: Query[Any]) -> bytes:
        return self._line(category, query, is_ack=True)

    def reply(
        self,
        category: str,
        query: Query[Any],
        shared: SharedAnswer[Any] | None,
        error: Exception | None,
    ) -> bytes:
        """Raises ValueError if JSON cannot represent the answer."""
        fields: dict[str, Any] = {"error": _error_of(error)} if error else {}
        if shared is None:
            return self._line(category, query, **fields)
        fields |= {
            "age_s": shared.age_s,
            "ttl_s": shared.ttl_s,
            "refresh_s": shared.refresh_s,
        }
        body = self._codecs[category].encoded(query, shared.answer)
        return self._line(category, query, **fields) + b"\n" + body

    def read_question(self, message: bytes) -> Question | None:
        found = self._header(message)
        return Question(found[0].category, found[1], found[0].held_at) if found else None

    def read_reply(self, message: bytes) -> Reply | None:
        """The answer itself is decoded by `read_answer`, where somebody wants it."""
        line, _, body = message.partition(b"\n")
        found = self._header(line)
        if found is None:
            return None
        header, query = found
        error = self._error(header.error) if header.error else None
        return Reply(header.category, query, header.is_ack, error, header, body)

    def read_answer(self, reply: Reply) -> SharedAnswer[Any] | None:
        header = reply.header
        kept = self._codecs[reply.category].decoded(reply.body) if reply.body else None
        if kept is None or header.age_s is None or kept.query != reply.query:
            return None
        return SharedAnswer(kept.answer, header.age_s, header.ttl_s, header.refresh_s)

    def _line(self, category: str, query: Query[Any], **fields: Any) -> bytes:
        encoded = json.loads(self._codecs[category].encoded_query(query))
        return json.dumps({"category": category, "query": encoded, **fields}).encode()

    def _header(self, line: bytes) -> tuple[_Header, Query[Any]] | None:
        try:
            header = _Header.model_validate_json(line)
        except ValidationError:
            return None
        codec = self._codecs.get(header.category)
        query = codec.decoded_query(json.dumps(header.query).encode()) if codec else None
        return None if query is None else (header, query)

    def _error(self, encoded: Mapping[str, Any]) -> GatewayError:
        detail = str(encoded.get("detail", ""))[:500]
        kind = _KINDS.get(str(encoded.get("code")))
        if kind is None:
            return DeadlineExceeded(detail)
        try:
            refusals = _REFUSALS.validate_python(encoded.get("refusals", ()))
            tried = _TRIED.validate_python(encoded.get("tried", ()))
        except ValidationError:
            refusals, tried = (), ()
        return kind(detail, refusals, tried)


def _error_of(error: Exception) -> dict[str, Any]:
    """What the other process needs to raise the same error."""
    if isinstance(error, SourceUnavailable):
        return {
            "code": error.code,
            "detail": str(error),
            "refusals": _REFUSALS.dump_python(error.refusals, mode="json"),
            "tried": _TRIED.dump_python(error.tried, mode="json"),
        }
    if isinstance(error, GatewayError):
        return {"code": error.code, "detail": str(error)}
    return {"code": AllProvidersFailed.code, "detail": "an error of the gateway"}
