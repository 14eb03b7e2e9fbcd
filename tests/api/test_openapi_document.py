"""The committed OpenAPI document is the application's."""

import json

import orjson
import pytest

from api.openapi import EXAMPLES
from tests.api.examples import collected
from tests.api.openapi_document import DOCUMENT, document


def test_the_committed_document_is_what_is_served() -> None:
    told = "run `python -m tests.api.openapi_document` and look at the difference"
    assert json.loads(DOCUMENT.read_bytes()) == json.loads(document()), told


def test_groups_stand_in_order_and_tell_what_they_are() -> None:
    described = json.loads(DOCUMENT.read_bytes())
    groups = [group["name"] for group in described["tags"] if group["description"]]
    used = {one["tags"][0] for methods in described["paths"].values() for one in methods.values()}
    assert groups[0] == "market"
    assert set(groups) == used


def test_every_operation_is_described_and_belongs_to_one_group() -> None:
    for path, methods in json.loads(DOCUMENT.read_bytes())["paths"].items():
        for operation in methods.values():
            assert operation.get("summary"), path
            assert operation.get("description"), path
            assert len(operation.get("tags", ())) == 1, path
            for parameter in operation.get("parameters", ()):
                assert parameter.get("description") or parameter["in"] == "path", (
                    path,
                    parameter["name"],
                )


async def test_the_examples_are_what_a_gateway_answers(surroundings: pytest.MonkeyPatch) -> None:
    told = "run `python -m tests.api.examples`, then `python -m tests.api.openapi_document`"
    assert await collected() == orjson.loads(EXAMPLES.read_bytes()), told


def test_every_answer_has_an_example() -> None:
    for path, methods in json.loads(DOCUMENT.read_bytes())["paths"].items():
        for status, response in methods["get"]["responses"].items():
            for media, content in response.get("content", {}).items():
                is_live = path in ("/api/status", "/metrics", "/api/stream") and status == "200"
                assert is_live or "example" in content or "examples" in content, (path, media)
