"""The soak test itself: it runs, and it reports what it should find."""

import json
import random
from typing import Any

import pytest

from tests.life.process import Ended
from tests.soak.__main__ import Outcome, report
from tests.soak.figures import SLACK, trends
from tests.soak.followers import Watch
from tests.soak.questions import Answer, Question, Wrong, ask, judge, rows_are_right

MARKET = Question("/api/market", rows_are_right)
REFUSED = Question("/api/market?limit=0", refusal=(422, "invalid_parameter"))
PROBLEM = {"detail": "so it is"}
META = {
    "stale": False,
    "stale_reason": None,
    "fetched_at": "2026-11-22T08:00:00.000Z",
    "expires_at": "2026-11-22T08:00:10.000Z",
}
STALE = META | {"stale": True, "stale_reason": "timeout"}


def answered(
    price: float = 50_000.0, meta: dict[str, Any] = META, age: int = 3, cache: str = "hit"
) -> Answer:
    rows = [{"id": "bitcoin", "symbol": "BTC", "price": price}]
    body = json.dumps({"data": rows, "meta": meta}).encode()
    return Answer(200, {"age": str(age), "x-cache": cache}, body)


def refused(status: int, code: str) -> Answer:
    return Answer(status, {}, json.dumps(PROBLEM | {"code": code}).encode())


@pytest.mark.parametrize(
    ("question", "answer", "word"),
    [
        (MARKET, answered(), "right"),
        (MARKET, answered(meta=STALE, age=900, cache="stale"), "stale"),
        (MARKET, refused(503, "all_providers_failed"), "failed"),
        (MARKET, refused(504, "deadline_exceeded"), "failed"),
        (REFUSED, refused(422, "invalid_parameter"), "refused"),
    ],
)
def test_a_right_answer_is_right(question: Question, answer: Answer, word: str) -> None:
    assert judge(question, answer, was_conditional=False) == word


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (MARKET, answered(price=50_000_000.0)),
        (MARKET, answered(price=-50_000.0)),
        (MARKET, answered(price=float("nan"))),
        (MARKET, answered(age=26)),
        (MARKET, answered(meta=STALE)),
        (MARKET, answered(cache="stale")),
        (MARKET, answered(meta=META | {"stale_reason": "timeout"})),
        (MARKET, Answer(304, {}, b"")),
        (MARKET, refused(500, "internal_error")),
        (MARKET, refused(503, "internal_error")),
        (MARKET, refused(404, "unknown_symbol")),
        (MARKET, Answer(500, {}, b"")),
        (REFUSED, answered()),
    ],
)
def test_a_wrong_answer_is_wrong(question: Question, answer: Answer) -> None:
    with pytest.raises(Wrong):
        judge(question, answer, was_conditional=False)


def test_a_gap_in_a_topic_is_wrong() -> None:
    watch = Watch()
    for seq, kind in ((1, "snapshot"), (2, "update"), (7, "snapshot"), (8, "update")):
        watch.hear({"op": "data", "channel": "gas", "type": kind, "seq": seq, "data": {}})
    with pytest.raises(Wrong, match="seq 10 after 8"):
        watch.hear({"op": "data", "channel": "gas", "type": "update", "seq": 10, "data": {}})


def test_every_kind_of_question_is_asked() -> None:
    chance = random.Random(1)
    paths = {ask(chance).path.partition("?")[0] for _ in range(500)}
    routes = {"/api/market", "/api/market/ohlc", "/api/news", "/api/sentiment", "/api/gas"}
    assert paths >= routes | {"/api/status", "/metrics", "/healthz", "/readyz", "/docs"}


def level(count: int, growth: float = 0.0) -> list[dict[str, float]]:
    """Samples of which every figure begins at 100 and grows by `growth` each time."""
    return [dict.fromkeys(SLACK, 100 + number * growth) for number in range(count)]


def test_growth_is_reported() -> None:
    assert all(trend.is_flat for trend in trends(level(80)))
    assert not any(trend.is_flat for trend in trends(level(80, growth=0.5)))


def test_growth_or_a_wrong_answer_is_a_problem() -> None:
    found: dict[str, Any] = {"counts": {}, "complaints": [], "latency_ms": {}}
    flat, grown = trends(level(80)), trends(level(80, growth=0.5))
    ended = Ended(0, 0.3, "")
    assert Outcome(60, 200, found, flat, ended, 0).problems == []
    assert len(Outcome(60, 200, found, grown, ended, 0).problems) == len(SLACK)
    wrong = Outcome(1, 200, found | {"complaints": ["a price of 0"]}, grown, ended, 0)
    assert wrong.problems == ["a price of 0"]
    assert "PROBLEM: a price of 0" in report(wrong)
    assert Outcome(60, 200, found, flat, Ended(None, 15, ""), 0).problems
    assert Outcome(60, 200, found, flat, ended, 1).problems
