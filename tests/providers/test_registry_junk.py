"""Junk into every parser but the market's: an error of ours comes out, or a plausible model.

What test_registry.py does field by field for prices and candles is done here in the large.
"""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.errors import ProviderError
from backend.models.answer import Query
from backend.models.gas import GasFees, GasQuery
from backend.models.news import Reports, ReportsQuery
from backend.models.sentiment import FearGreedSeries, SentimentQuery
from backend.providers.adapter import Adapter, Context, Operation, ProviderSpec
from backend.providers.client import parsed
from backend.providers.registry import REGISTRY
from tests.clocks import EPOCH_MS

QUERIES: dict[type[Query[Any]], Query[Any]] = {
    ReportsQuery: ReportsQuery(),
    SentimentQuery: SentimentQuery(),
    GasQuery: GasQuery(),
}
CASES = [
    (spec, op) for spec in REGISTRY for op in spec.adapter.operations if op.query_type in QUERIES
]
NAMES = [f"{spec.name}-{op.name}" for spec, op in CASES]
each = pytest.mark.parametrize(("spec", "operation"), CASES, ids=NAMES)
JSON_JUNK: list[Any] = [{}, None, "", "<html>", 0, -1, True, [None], [[]], [{}], {"data": None}]
JSON_JUNK += [{"data": []}, {"result": {}}, {"articles": {}}, {"results": None}, {"status": "1"}]
BYTES_JUNK = [b"", b"<html><body>soon</body></html>", b"{}", b"<rss></rss>", b"\x00\xff" * 50]


def context(spec: ProviderSpec) -> Context:
    plan = spec.keyed or spec.keyless
    assert plan is not None
    return Context(spec.name, plan.name, EPOCH_MS)


def is_of_bytes(spec: ProviderSpec, operation: Operation) -> bool:
    (call, *_) = operation.build(QUERIES[operation.query_type], context(spec))
    return call.decode == "bytes"


@each
def test_every_question_has_an_operation_that_builds_calls(
    spec: ProviderSpec, operation: Operation
) -> None:
    calls = operation.build(QUERIES[operation.query_type], context(spec))
    for call in calls:
        assert not call.path or call.path.startswith("/")
        assert all(isinstance(text, str) for pair in call.params for text in pair)
        assert call.weight > 0


@each
@pytest.mark.parametrize("place", range(len(JSON_JUNK)))
def test_junk_is_no_answer(spec: ProviderSpec, operation: Operation, place: int) -> None:
    of_bytes = is_of_bytes(spec, operation)
    junk = BYTES_JUNK[place % len(BYTES_JUNK)] if of_bytes else JSON_JUNK[place]
    with pytest.raises(ProviderError):
        parsed(operation.parse, QUERIES[operation.query_type], [junk], context(spec))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["data", "result", "results", "articles", "id", "status", "value"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@each
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(payload=JSON)
def test_any_json_gives_one_of_our_errors_or_a_model(
    spec: ProviderSpec, operation: Operation, payload: Any
) -> None:
    given = json.dumps(payload).encode() if is_of_bytes(spec, operation) else payload
    try:
        answer = parsed(operation.parse, QUERIES[operation.query_type], [given], context(spec))
    except ProviderError:
        return
    assert isinstance(answer, Reports | FearGreedSeries | GasFees)


@each
@settings(max_examples=20, deadline=None)
@given(payload=JSON)
def test_any_json_has_a_readable_error_code_or_none(
    spec: ProviderSpec, operation: Operation, payload: Any
) -> None:
    adapter: Adapter = spec.adapter
    assert isinstance(adapter.error_code(payload), int | str | None)
    assert isinstance(adapter.banned_until_ms(payload), int | None)
