"""Every field of every schema says what it is, in which unit, with an example that is valid."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from api.schema_fields import describe_fields, field_texts, table_of
from tests.api.openapi_document import DOCUMENT

OPENAPI = json.loads(DOCUMENT.read_bytes())
SCHEMAS, PATHS = OPENAPI["components"]["schemas"], OPENAPI["paths"]
#: Said of a figure: what one of it is.
UNITS = (
    *("currency", "dollar", "percent", "%", "second", "in coins", "`unit`", "number", "from -1"),
    *("from 0", "share", "calls", "place", "height", "http status", "frames", "clients", "answers"),
    *("units", "processes", "questions"),
)


def fields() -> Iterator[tuple[str, str, Any]]:
    for name, schema in SCHEMAS.items():
        for field, described in schema.get("properties", {}).items():
            yield name, field, described


def inline_fields(part: Any) -> Iterator[tuple[str, Any]]:
    """Of the schemas that stand in the operations, as those of facades do."""
    if isinstance(part, dict):
        if part.get("type") == "object":
            yield from part.get("properties", {}).items()
        for name, inner in part.items():
            if name not in ("example", "examples"):
                yield from inline_fields(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from inline_fields(inner)


def kinds(described: Any) -> set[str]:
    return {one.get("type", "") for one in (described, *described.get("anyOf", ()))}


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_described(name: str) -> None:
    assert SCHEMAS[name].get("description", "").strip()


def test_every_field_is_described_with_an_example() -> None:
    missing = []
    for name, field, described in fields():
        text = described.get("description", "")
        is_of_schemas = "$ref" in json.dumps(described)
        if not text.endswith(".") or not (described.get("examples") or is_of_schemas):
            missing.append(f"{name}.{field}")
    assert missing == [], "describe them in api/schema_fields.toml"


def test_every_field_of_the_facades_errors_is_described_with_an_example() -> None:
    found = list(inline_fields(PATHS))
    names = "error status timestamp error_code error_message code msg s errmsg jsonrpc".split()
    assert {name for name, _ in found} == set(names)
    for name, described in found:
        assert described["description"].endswith("."), name
        is_shown = described.keys() & {"const", "properties"} or described.get("examples")
        assert is_shown, name


def test_every_example_is_valid() -> None:
    for name, field, described in fields():
        schema = {**described, "components": {"schemas": SCHEMAS}}
        for example in described.get("examples", ()):
            errors = [one.message for one in Draft202012Validator(schema).iter_errors(example)]
            assert errors == [], (name, field)


def test_every_figure_has_a_unit_and_every_time_its_zone() -> None:
    for name, field, described in fields():
        text = described["description"].lower()
        if kinds(described) & {"number", "integer"}:
            assert any(unit in text for unit in UNITS), (name, field, text)
        if "date-time" in json.dumps(described):
            assert "(utc)" in text, (name, field, text)


def test_a_field_that_can_be_null_says_when() -> None:
    """The descriptions of these schemas say it of all their fields."""
    general = ("Coin", "CoinWithSparkline", "GlobalMarket", "Problem")
    for name, field, described in fields():
        if "null" in kinds(described) and name not in general:
            assert "null" in described["description"], (name, field)


def test_no_text_is_left_of_a_field_that_is_gone() -> None:
    texts = field_texts()
    used = {(table_of(texts, name, field), field) for name, field, _ in fields()}
    assert {(name, field) for name, table in texts.items() for field in table} == used


def test_a_field_without_a_text_stays_as_it_is() -> None:
    schemas: dict[str, Any] = {"Coin": {"properties": {"unheard_of": {"type": "string"}}}}
    describe_fields(schemas)
    assert schemas == {"Coin": {"properties": {"unheard_of": {"type": "string"}}}}
