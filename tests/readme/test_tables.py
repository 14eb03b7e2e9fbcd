"""The README's tables tell what the code has."""

import json
import re
from typing import Any

from backend.providers.registry import REGISTRY
from backend.settings import Settings
from tests.readme.document import ROOT, table


def settings() -> dict[str, str]:
    """By the variable: its default as the README writes it, `empty` for nothing."""
    found: dict[str, str] = {}
    for names, defaults, _ in table("| variable | default |"):
        values = [value.strip().strip("`") for value in defaults.split(",")]
        found |= dict(zip(re.findall(r"`(\w+)`", names), values, strict=True))
    return found


def test_the_table_of_settings_has_all_of_them() -> None:
    assert set(settings()) == {name.upper() for name in Settings.model_fields}


def test_the_defaults_are_the_true_ones() -> None:
    values: dict[str, Any] = {
        f"test_readme_{name}".upper(): "" if value == "empty" else value
        for name, value in settings().items()
    }
    told = Settings.model_validate({name[12:].lower(): value for name, value in values.items()})
    assert told == Settings(_env_prefix="NOBODY_SETS_THIS_", _env_file=None)


def test_the_table_of_providers_has_all_of_them() -> None:
    named = re.findall(r"`([a-z_]+)`", " ".join(row[0] for row in table("| provider | key |")))
    assert named == [spec.name for spec in REGISTRY]


def test_the_table_of_routes_has_all_of_them() -> None:
    rows = " ".join(row[0] for row in table("| route | providers, in order |"))
    document = json.loads((ROOT / "docs" / "openapi.json").read_bytes())
    named = {path.partition("?")[0] for path in re.findall(r"(/[\w./{}?=]*)", rows)}
    assert named >= set(document["paths"])
