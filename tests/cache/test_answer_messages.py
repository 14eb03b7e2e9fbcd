"""The messages by which processes ask for answers: there and back, and what is dropped."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend.cache.answer_messages import MessageCodec
from backend.cache.answer_store import AnswerCodec, KeptAnswer
from backend.cache.freshness import SharedAnswer
from backend.errors import (
    AllProvidersFailed,
    DeadlineExceeded,
    GatewayError,
    NoProviderConfigured,
    QuotaExhausted,
    SourceUnavailable,
)
from backend.models.answer import Answer, Attempt
from backend.models.status import Refusal
from tests.clocks import EPOCH
from tests.walk import PriceQuery

QUERY = PriceQuery("eth")
CODEC = MessageCodec({"price": AnswerCodec(KeptAnswer[PriceQuery, float])})
SHARED = SharedAnswer(Answer(2.5, "a", EPOCH, 1.0), age_s=3.0, ttl_s=60.0, refresh_s=48.0)


def changed(message: bytes, **fields: Any) -> bytes:
    """The message with other fields in its header."""
    line, feed, body = message.partition(b"\n")
    return json.dumps(json.loads(line) | fields).encode() + feed + body


@pytest.mark.parametrize("held_at", [None, 1_790_000_000.25])
def test_a_question_arrives_as_it_was_asked(held_at: float | None) -> None:
    question = CODEC.read_question(CODEC.question("price", QUERY, held_at))
    assert question
    assert (question.category, question.query, question.held_at) == ("price", QUERY, held_at)


def test_an_ack_names_its_question() -> None:
    reply = CODEC.read_reply(CODEC.ack("price", QUERY))
    assert reply
    assert (reply.query, reply.is_ack, reply.error, reply.body) == (QUERY, True, None, b"")
    assert CODEC.read_answer(reply) is None


def test_an_answer_arrives_with_its_times() -> None:
    reply = CODEC.read_reply(CODEC.reply("price", QUERY, SHARED, None))
    assert reply
    assert (reply.is_ack, reply.error) == (False, None)
    assert CODEC.read_answer(reply) == SHARED


REFUSAL = Refusal("a", "rate_limited", EPOCH + timedelta(seconds=30))
TRIED = Attempt("b", "upstream_5xx", 5.0)


@pytest.mark.parametrize("kind", [AllProvidersFailed, NoProviderConfigured, QuotaExhausted])
def test_an_error_arrives_with_its_refusals_and_its_time_to_retry(
    kind: type[SourceUnavailable],
) -> None:
    reply = CODEC.read_reply(CODEC.reply("price", QUERY, None, kind("why", [REFUSAL], [TRIED])))
    assert reply
    assert type(reply.error) is kind
    assert isinstance(reply.error, SourceUnavailable)
    assert (str(reply.error), reply.error.retry_at) == ("why", REFUSAL.until)
    assert (tuple(reply.error.refusals), tuple(reply.error.tried)) == ((REFUSAL,), (TRIED,))
    assert CODEC.read_answer(reply) is None


@pytest.mark.parametrize(
    ("error", "kind", "detail"),
    [
        (DeadlineExceeded("late"), DeadlineExceeded, "late"),
        (RuntimeError("a secret"), AllProvidersFailed, "an error of the gateway"),
    ],
)
def test_other_errors_say_no_more_than_clients_may_read(
    error: Exception, kind: type[GatewayError], detail: str
) -> None:
    reply = CODEC.read_reply(CODEC.reply("price", QUERY, None, error))
    assert reply
    assert (type(reply.error), str(reply.error)) == (kind, detail)


def test_a_stale_answer_comes_with_the_error_that_made_it_so() -> None:
    old = replace(SHARED, age_s=500.0)
    reply = CODEC.read_reply(CODEC.reply("price", QUERY, old, DeadlineExceeded("late")))
    assert reply
    assert isinstance(reply.error, DeadlineExceeded)
    assert CODEC.read_answer(reply) == old


def test_an_error_that_is_malformed_is_an_error_all_the_same() -> None:
    message = CODEC.reply("price", QUERY, None, AllProvidersFailed("down", [REFUSAL]))
    error = json.loads(message)["error"] | {"refusals": [{"provider": 3}], "detail": "x" * 900}
    reply = CODEC.read_reply(changed(message, error=error))
    assert reply
    assert isinstance(reply.error, AllProvidersFailed)
    assert (tuple(reply.error.refusals), len(str(reply.error))) == ((), 500)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"category": "price"}',
        b'{"category": "price", "query": {"coin": 5}}',
        b'{"category": "nothing", "query": {}}',
        b'{"category": "price", "query": [], "held_at": 1}',
        changed(CODEC.question("price", QUERY, 1.0), held_at="soon"),
        changed(CODEC.question("price", QUERY, 1.0), held_at=float("nan")),
    ],
)
def test_what_cannot_be_decoded_is_dropped(message: bytes) -> None:
    assert CODEC.read_question(message) is None
    assert CODEC.read_reply(message) is None


ANSWER = CODEC.reply("price", QUERY, SHARED, None)


@pytest.mark.parametrize(
    "message",
    [
        ANSWER.partition(b"\n")[0],
        ANSWER[:-5],
        ANSWER.replace(b"2.5", b'"x"'),
        changed(ANSWER, age_s=None),
        changed(ANSWER, age_s=-1.0),
        changed(ANSWER, ttl_s=1e308),
        changed(ANSWER, query={"coin": "btc"}),
    ],
    ids=[
        "no body",
        "cut",
        "no number",
        "no age",
        "from the future",
        "for ever",
        "of another query",
    ],
)
def test_an_answer_that_cannot_be_true_is_dropped(message: bytes) -> None:
    reply = CODEC.read_reply(message)
    assert reply is None or CODEC.read_answer(reply) is None


def test_an_unknown_field_of_a_newer_version_does_no_harm() -> None:
    reply = CODEC.read_reply(changed(ANSWER, more=1))
    assert reply
    assert CODEC.read_answer(reply) == SHARED
