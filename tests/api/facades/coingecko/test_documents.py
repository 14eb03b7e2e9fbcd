"""docs/coingecko.md names every path, with the times that the code has."""

import re

from api.facades.coingecko.paths import (
    CHART_RANGES,
    HISTORY,
    MARKETS,
    PAID,
    PASSED_ON,
    SIMPLE_PRICE,
)
from tests.readme.document import table, text_of

PATHS = (*PASSED_ON, *CHART_RANGES, HISTORY, MARKETS, SIMPLE_PRICE)
UNITS = {"min": 60, "h": 3_600, "d": 86_400}


def seconds(text: str) -> set[float]:
    return {int(count) * UNITS[unit] for count, unit in re.findall(r"(\d+) (min|h|d)\b", text)}


def test_the_table_has_every_path_and_its_times() -> None:
    documented: dict[str, tuple[set[float], set[float]]] = {}
    for paths, fresh, stale in table("docs/coingecko.md", "| path | fresh | at most |"):
        for path in re.findall(r"`(/[^`]+)`", paths):
            assert path not in documented
            documented[path] = seconds(fresh), seconds(stale)
    assert documented.keys() == {path.template for path in PATHS}
    for path in PATHS:
        fresh_s, stale_s = documented[path.template]
        assert path.ttl_s in fresh_s, path.template
        assert path.max_stale_s in stale_s, path.template


def test_the_paid_paths_are_named() -> None:
    text = text_of("docs/coingecko.md")
    for path in PAID:
        is_chart = "_chart" in path or "supply" in path
        assert is_chart or f"`{path}`" in text, path
