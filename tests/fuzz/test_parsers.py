"""Real answers made wrong, into every parser: an error of ours comes out, or a plausible model."""

from contextlib import suppress

import pytest
from hypothesis import given, note

from backend.errors import MalformedResponse, QueryRefused
from backend.models.pass_through import PassThroughQuery
from backend.providers.registry import REGISTRY
from tests.clocks import EPOCH
from tests.fuzz.budget import budget, told_of
from tests.fuzz.mutations import STEPS, Step, mutated
from tests.fuzz.plausible import SLACK, assert_plausible
from tests.fuzz.shapes import Shape, coins, distinct_shapes, shapes

SHAPES = shapes()
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
JSON_SHAPES = [one for one in distinct_shapes() if one.spec.adapter.vendor != "rss"]


def test_every_operation_of_every_provider_has_a_shape() -> None:
    operations = {
        (spec.name, one.name)
        for spec in REGISTRY
        for one in spec.adapter.operations
        if one.query_type is not PassThroughQuery  # tests/orchestration/test_pass_through.py
    }
    assert {(shape.spec.name, shape.operation.name) for shape in SHAPES} == operations


@each_shape
def test_the_right_answer_is_plausible(shape: Shape) -> None:
    assert_plausible(shape.parse(list(shape.payloads)))


@budget(75)
@given(steps=STEPS)
def test_a_wrong_answer_is_refused_or_plausible(steps: list[Step]) -> None:
    note(repr(steps))
    for shape in JSON_SHAPES:
        with told_of(shape), suppress(MalformedResponse, QueryRefused):
            assert_plausible(shape.parse(mutated(list(shape.payloads), steps)))


def test_a_coin_is_not_dated_years_ahead() -> None:
    shape = next(shape for shape in SHAPES if shape.operation.name == "markets")
    rows = coins()
    rows[0]["last_updated"] = "2046-11-22T08:00:00.000Z"
    stamps = [coin.last_updated for coin in shape.parse([rows]).coins]
    assert max(stamps) <= EPOCH + SLACK
