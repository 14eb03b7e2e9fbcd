"""Each decision record has a number, a date, a status, and the sections of its kind."""

import re
from datetime import date
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "decisions"
PATHS = sorted(FOLDER.glob("*.md"))
LINK = r"\[(\d+)\]\((\d{4}-[a-z0-9-]+\.md)\)"
STATUS = re.compile(
    rf"accepted|rejected|superseded by {LINK}|accepted, amended by {LINK}(?: and {LINK})*"
)
AMENDED_HERE = re.compile(r"accepted, amended (\d{4}-\d\d-\d\d)")


def field(path: Path, name: str) -> str:
    """The value of `- Name: value` in the head of a record."""
    head = path.read_text(encoding="utf-8").partition("\n## ")[0]
    (value,) = re.findall(rf"^- {name}: (.+)$", head, re.MULTILINE)
    return str(value)


def test_the_numbers_are_consecutive() -> None:
    assert [int(path.name[:4]) for path in PATHS] == list(range(1, len(PATHS) + 1))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_title_begins_with_the_number(path: Path) -> None:
    title = path.read_text(encoding="utf-8").splitlines()[0]
    assert re.fullmatch(rf"# {int(path.name[:4])}\. [A-Z].+[^.]", title)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_date_is_valid(path: Path) -> None:
    assert date.fromisoformat(field(path, "Date")) >= date(2026, 11, 22)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_status_is_a_known_one(path: Path) -> None:
    status = field(path, "Status")
    if amended := AMENDED_HERE.fullmatch(status):
        assert date.fromisoformat(amended[1]) >= date.fromisoformat(field(path, "Date"))
        return
    assert STATUS.fullmatch(status), status
    for number, target in re.findall(LINK, status):
        assert (FOLDER / target).exists()
        assert int(number) == int(target[:4]) > int(path.name[:4])


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_sections_are_context_decision_and_consequences(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    bodies = re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]
    assert all(body.strip() for body in bodies)
