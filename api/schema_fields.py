"""Descriptions and examples of the fields of the OpenAPI document's schemas."""

import tomllib
from pathlib import Path
from typing import Any

#: By schema and field: the description, and an example except for objects of other schemas.
FIELDS = Path(__file__).with_name("schema_fields.toml")
#: Where the fields are that a schema has from another one.
EXTENDED = {"CoinWithSparkline": "Coin", "MoneyMeta": "Meta"}
ENVELOPE = "Envelope"

FieldTexts = dict[str, dict[str, list[Any]]]


def field_texts() -> FieldTexts:
    return tomllib.loads(FIELDS.read_text(encoding="utf-8"))


def table_of(texts: FieldTexts, schema: str, field: str) -> str:
    """The schema whose table describes the field, itself or the one that it extends."""
    general = ENVELOPE if schema.endswith(ENVELOPE) else EXTENDED.get(schema, schema)
    return schema if field in texts.get(schema, {}) else general


def describe_fields(schemas: dict[str, Any]) -> None:
    """Adds `description` and `examples` to each known field."""
    texts = field_texts()
    for name, schema in schemas.items():
        for field, described in schema.get("properties", {}).items():
            text, *examples = texts.get(table_of(texts, name, field), {}).get(field, [""])
            if text:
                described["description"] = text
            if examples:
                described["examples"] = examples
