"""The tables of docs/ say what the code has."""

import json
import re
from typing import Any

from api.edge.problems import STATUS
from backend.providers.registry import REGISTRY
from backend.settings import Settings
from tests.readme.document import README, ROOT, table, text_of

#: Values that the table of parameters names, and a second name of `currency`.
VALUES, ALIASES = {"1m", "1M", "usd", "ethereum"}, {"vs_currency"}


def settings() -> dict[str, str]:
    """The default of each variable, as the table writes it; `empty` for nothing."""
    found: dict[str, str] = {}
    for names, defaults, _ in table("docs/settings.md", "| variable | default |"):
        variables = re.findall(r"`(\w+)`", names)
        values = defaults.split(",") if len(variables) > 1 else [defaults]
        plain = [value.strip().strip("`") for value in values]
        found |= dict(zip(variables, plain, strict=True))
    return found


def test_the_table_of_settings_has_all_of_them() -> None:
    assert set(settings()) == {name.upper() for name in Settings.model_fields}


def test_the_defaults_are_the_true_ones() -> None:
    values: dict[str, Any] = {
        f"test_readme_{name}".upper(): "" if value == "empty" else value
        for name, value in settings().items()
    }
    stated = Settings.model_validate({name[12:].lower(): value for name, value in values.items()})
    assert stated == Settings(_env_prefix="NOBODY_SETS_THIS_", _env_file=None)


def test_the_table_of_providers_has_all_of_them() -> None:
    rows = table("docs/providers.md", "| provider | key |")
    named = re.findall(r"`([a-z_]+)`", " ".join(row[0] for row in rows))
    assert named == [spec.name for spec in REGISTRY]


def test_the_table_of_routes_has_all_of_them() -> None:
    rows = " ".join(row[0] for row in table("docs/api.md", "| route | providers, in order |"))
    document = json.loads((ROOT / "docs" / "openapi.json").read_bytes())
    named = {path.partition("?")[0] for path in re.findall(r"(/[\w./{}?=]*)", rows)}
    dialects = {
        "/coingecko/api/v3/{path}",
        "/binance/api/v3/{path}",
    }  # listed on pages of their own
    prefixes = tuple(path.removesuffix("{path}") for path in dialects)
    paths = {path for path in document["paths"] if not path.startswith(prefixes)}
    assert named >= paths | dialects


def test_the_table_of_errors_has_every_code_under_its_status() -> None:
    found: dict[str, set[int]] = {}
    for statuses, codes in table("docs/api.md", "| status | `code` |"):
        numbers = {int(status) for status in re.findall(r"\d+", statuses)}
        found |= dict.fromkeys(re.findall(r"`([a-z_]+)`", codes), numbers)
    del found["suggestions"], found["request_id"]
    assert set(found) == set(STATUS)
    assert [code for code, numbers in found.items() if STATUS[code] not in numbers] == []


def test_the_readme_counts_the_providers() -> None:
    assert f"over {len(REGISTRY)} providers" in text_of(README)


def test_the_table_of_parameters_has_those_of_the_api_document() -> None:
    document = json.loads((ROOT / "docs" / "openapi.json").read_bytes())
    for paths, text in table("docs/api.md", "| route | parameters |"):
        named = {name for name in re.findall(r"`(\w+)`", text) if name not in VALUES}
        for path in set(re.findall(r"`([^`]+)`", paths)) & set(document["paths"]):
            parameters = document["paths"][path]["get"]["parameters"]
            described = {one["name"] for one in parameters if one["in"] == "query"}
            assert named == described - ALIASES, path
