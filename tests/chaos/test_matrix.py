"""The committed document has every fault of the table and every provider."""

import pytest

from tests.chaos.matrix import DOCUMENT, table
from tests.chaos.names import ELSEWHERE, FAULTS, PROVIDERS
from tests.chaos.record import Cell


def lines() -> list[list[str]]:
    text = DOCUMENT.read_text(encoding="utf-8")
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]


def test_the_document_has_a_column_for_every_provider() -> None:
    assert lines()[0] == ["fault", "at", *PROVIDERS]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_document_has_a_row_for_every_fault(fault: str) -> None:
    row = next((line for line in lines() if line[0] == fault), None)
    assert row is not None
    assert len(row) == len(PROVIDERS) + 2
    assert any(cell == "ok" or cell.startswith("FAILED") for cell in row[2:]), "nobody met it"


def test_the_document_names_the_tests_of_the_other_rows() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert all(row in text and test in text for row, test in ELSEWHERE.items())


def test_a_trouble_is_shown_and_hides_no_other_cell() -> None:
    fault, name = FAULTS[0], PROVIDERS[0]
    cells = [Cell(fault, f"{name} (x)", "4 an hour", "late"), Cell(fault, PROVIDERS[1], "a", None)]
    row = table(cells).splitlines()[2].strip("| ").split(" | ")
    assert row[2] == "FAILED (x) 4 an hour: late"
    assert row[3:5] == ["ok", "–"]
