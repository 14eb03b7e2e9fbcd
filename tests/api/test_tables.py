"""CSV: a row is a line whatever its cells hold, and no cell is a formula."""

import csv
import io
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cache.formats import FORMULA, table


def cells(*row: object) -> list[str]:
    """The cells of one row, as a CSV reader returns them."""
    _, *rows = csv.reader(io.StringIO(table(["x"] * len(row), [row]).decode(), newline=""))
    assert len(rows) == 1
    return rows[0]


@pytest.mark.parametrize(
    "formula",
    [
        '=HYPERLINK("http://x.example")',
        "+1+cmd|' /C calc'!A0",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        "\x00=1",
        "＝1",
        "＠SUM",
    ],
)
@pytest.mark.parametrize("kind", [lambda text: text, lambda text: (text, "b"), lambda text: [text]])
def test_a_text_that_would_be_a_formula_is_quoted_in_any_cell(
    formula: str,
    kind: object,
) -> None:
    assert callable(kind)
    (cell,) = cells(kind(formula))
    assert cell.startswith("'")


def test_values_other_than_texts_are_unchanged() -> None:
    at = datetime(2026, 11, 22, 8, tzinfo=UTC)
    row = cells(-1.5, 3, None, True, at, ("BTC", "ETH"), "a,b", 'c"d')
    wanted = ["-1.5", "3", "", "true", "2026-11-22T08:00:00.000Z", "BTC ETH", "a,b", 'c"d']
    assert row == wanted


@pytest.mark.parametrize(
    "character", ["\r", "\n", "\r\n", "\x00", "\x0b", "\x0c", "\x1b", "\x85", "\u2028", "\u2029"]
)
def test_control_characters_become_spaces(character: str) -> None:
    text = table(["a", "b"], [(f"one{character}two", 1)]).decode()
    assert text == "a,b\none two,1\n"
    assert len(text.splitlines()) == 2


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    assert cells("a\ud83db", ("\udc00",)) == ["a?b", "?"]


@given(st.lists(st.tuples(st.text(), st.lists(st.text())), max_size=5))
def test_every_row_is_one_line_of_harmless_cells(rows: list[tuple[str, list[str]]]) -> None:
    text = table(["a", "b"], rows).decode()
    assert len(text.splitlines()) == text.count("\n") == len(rows) + 1
    for row in list(csv.reader(io.StringIO(text, newline="")))[1:]:
        assert len(row) == 2
        assert not any(cell.lstrip().startswith(FORMULA) for cell in row)


@pytest.mark.parametrize(
    ("path", "columns", "rows"),
    [
        ("/api/market/bitcoin", ["id", "symbol", "name"], 1),
        ("/api/sentiment?days=7", ["value", "classification", "timestamp"], 7),
        ("/api/gas", ["chain", "unit", "slow"], 1),
    ],
)
async def test_every_data_route_has_a_table(
    reader: httpx.AsyncClient, path: str, columns: list[str], rows: int
) -> None:
    answer = await reader.get(f"{path}{'&' if '?' in path else '?'}format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    found = list(csv.reader(io.StringIO(answer.text)))
    assert found[0][:3] == columns
    assert len(found) == rows + 1
    data = (await reader.get(path)).json()["data"]
    first = data[0] if isinstance(data, list) else data
    assert found[0] == list(first)
    assert found[1][0] == str(first[columns[0]])


@pytest.mark.parametrize("path", ["/api/market/bitcoin", "/api/sentiment", "/api/gas"])
async def test_only_known_formats_are_accepted(reader: httpx.AsyncClient, path: str) -> None:
    same = await reader.get(f"{path}?format=json")
    assert same.json()["data"] == (await reader.get(path)).json()["data"]
    refused = await reader.get(f"{path}?format=arrays")
    (wrong,) = refused.json()["errors"]
    assert (refused.status_code, wrong["allowed"]) == (422, ["json", "csv"])
