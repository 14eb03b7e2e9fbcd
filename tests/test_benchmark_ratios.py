"""The comparison of a benchmark's ratios with the committed ones."""

import json
from pathlib import Path

import pytest

from tests.benchmarks.ratios import COMMITTED, FILE, compare, record, recorded


@pytest.mark.parametrize(("now", "holds"), [(2.0, True), (1.5, True), (1.49, False), (9.0, True)])
def test_a_ratio_may_be_a_quarter_smaller(now: float, holds: bool) -> None:
    table, all_hold = compare({"cached": now, "same": 1.0}, {"cached": 2.0, "same": 1.0})
    assert all_hold is holds
    assert ("**worse**" in table) is not holds


def test_a_ratio_that_is_not_measured_any_more_does_not_hold() -> None:
    table, all_hold = compare({"new": 3.0}, {"gone": 2.0})
    assert not all_hold
    assert "| gone | 2.00 | – | **worse** |" in table
    assert "| new | – | 3.00 | not committed |" in table


def test_each_part_of_a_run_records_its_ratios(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record("nowhere", 1.0)  # a part that is run alone
    file = tmp_path / "ratios"
    monkeypatch.setenv(FILE, str(file))
    record("one", 1.5)
    record("two, with: a colon", 0.25)
    assert recorded(file) == {"one": 1.5, "two, with: a colon": 0.25}


def test_ratios_are_committed() -> None:
    committed = json.loads(COMMITTED.read_text())
    assert {"cached, ours: gas", "cached, ours, default limit: gas"} <= committed.keys()
    assert min(committed.values()) > 0
