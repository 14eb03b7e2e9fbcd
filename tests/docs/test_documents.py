"""README and docs/: length, order, links, and prose in short lines."""

import re
from pathlib import Path

import pytest

from tests.readme.document import README, ROOT, text_of

MOST_README_LINES, LONGEST_LINE = 150, 160
HEADINGS = [
    "Unified Crypto Data Platform",
    "What is guaranteed",
    "Limits",
    "Run",
    "Ask",
    "The page",
    "Break it",
    "Recipes",
    "Test",
    "Links",
]
#: Written by hand. The texts of generated documents come from the tests that write them.
GENERATED = {"docs/attacks.md", "docs/fault-matrix.md"}
GENERATED |= {"docs/adding-a-provider.md", "docs/architecture.md"}
EVERY = [
    README,
    "CHANGELOG.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
]
PROSE = [document for document in EVERY if document not in GENERATED]


def without_blocks(document: str) -> str:
    return re.sub(r"^```.*?^```$", "", text_of(document), flags=re.MULTILINE | re.DOTALL)


def headings(document: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", without_blocks(document), re.MULTILINE)


def anchor(heading: str) -> str:
    """As GitHub makes it: lower case, without punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def broken(document: str) -> list[str]:
    """The relative links of a document that lead nowhere."""
    targets = re.findall(r'(?:\]\(|src=")((?!https?://)[^)"]+)', without_blocks(document))
    found = []
    for target in targets:
        name, _, fragment = target.partition("#")
        path = ((ROOT / document).parent / name).resolve() if name else ROOT / document
        if not path.exists():
            found.append(target)
        elif fragment:
            anchors = map(anchor, headings(str(path.relative_to(ROOT))))
            found += [] if fragment in anchors else [target]
    return found


def test_the_readme_is_short() -> None:
    lines = text_of(README).splitlines()
    assert len(lines) <= MOST_README_LINES
    assert [line for line in lines if len(line) > LONGEST_LINE] == []


def test_the_readme_has_its_sections_in_order() -> None:
    assert headings(README) == HEADINGS


@pytest.mark.parametrize("document", PROSE)
def test_no_line_of_prose_is_long(document: str) -> None:
    lines = without_blocks(document).splitlines()
    assert [line for line in lines if len(line) > LONGEST_LINE and not line.startswith("|")] == []


@pytest.mark.parametrize("document", EVERY)
def test_every_relative_link_resolves(document: str) -> None:
    assert broken(document) == []


def test_a_broken_link_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.docs.test_documents.ROOT", tmp_path)
    monkeypatch.setattr("tests.readme.document.ROOT", tmp_path)
    (tmp_path / "a.md").write_text("# Some: thing\n[a](#some-thing) [b](b.md) [c](a.md#other)\n")
    assert broken("a.md") == ["b.md", "a.md#other"]


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [README]
    while waiting:
        document = waiting.pop()
        reached.add(document)
        for name in re.findall(r"\]\(((?!https?://)[^)#]+\.md)", without_blocks(document)):
            path = ((ROOT / document).parent / name).resolve().relative_to(ROOT)
            waiting += [] if str(path) in {*reached, *waiting} else [str(path)]
    pages = {document for document in EVERY if not document.startswith("docs/decisions/")}
    assert pages - reached == set()
