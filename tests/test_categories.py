"""The table of categories: what a row needs elsewhere, and nothing more."""

import ast
from dataclasses import fields
from importlib import import_module

import pytest

from api.hf_unified_server import DATA
from api.stream.protocol import CHANNELS
from backend.categories import CATEGORIES, HELPERS
from backend.gateway import Gateway
from backend.settings import Settings
from tests.test_laws import ROOT, sources

every_category = pytest.mark.parametrize("name", CATEGORIES)
#: Python has a keyword `global`.
MODULES = {"global": "global_market"}
#: Files that not every category needs: for a source of its own, and for its OpenAPI schema if that
#: is not in its route's file.
OPTIONAL = {"backend/sources.py", "api/routes/schemas.py"}


@every_category
def test_a_category_has_a_fixed_freshness_or_settings_and_a_channel(name: str) -> None:
    freshness = CATEGORIES[name].default_freshness(Settings())
    assert 0 < freshness.ttl_s <= freshness.max_stale_s
    settings = {f"cache_ttl_{name}", f"max_stale_{name}"} & set(Settings.model_fields)
    assert len(settings) == (2 if CATEGORIES[name].fixed is None else 0)
    assert (name in CHANNELS) is (CATEGORIES[name].fixed is None)


@every_category
def test_a_category_has_its_service_and_its_routes(name: str) -> None:
    module = MODULES.get(name, name)
    assert module in {field.name for field in fields(Gateway)}
    assert import_module(f"api.routes.{module}") in DATA
    assert len(DATA) == len(CATEGORIES)


@pytest.mark.parametrize("name", HELPERS)
def test_a_category_that_other_services_use_has_no_settings_and_no_channel(name: str) -> None:
    freshness = HELPERS[name].default_freshness(Settings())
    assert 0 < freshness.ttl_s <= freshness.max_stale_s
    assert not {f"cache_ttl_{name}", f"max_stale_{name}"} & set(Settings.model_fields)
    assert name not in CHANNELS


@every_category
def test_a_categorys_plain_query_is_of_that_category(name: str) -> None:
    assert CATEGORIES[name].provider_query.category == name


def test_a_category_is_known_to_six_files() -> None:
    """By the example of gas; besides the vendor files that serve it."""
    paths = (*sources("backend"), *sources("api"))
    importing = {str(path.relative_to(ROOT)) for path in paths if _imports_gas(path.read_text())}
    importing = {name for name in importing if "/vendors/" not in name}
    importing -= {"backend/provider_check.py"}  # it can check any query, and this one of each chain
    assert importing - OPTIONAL | {"backend/models/gas.py", "backend/settings.py"} == {
        "backend/models/gas.py",
        "backend/services/gas.py",
        "backend/settings.py",
        "backend/categories.py",
        "backend/gateway.py",
        "api/routes/gas.py",
    }


def _imports_gas(text: str) -> bool:
    imports = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom))
    return any((node.module or "").endswith(".gas") for node in imports)
