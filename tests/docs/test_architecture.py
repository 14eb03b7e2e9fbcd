"""docs/architecture.md draws what import-linter holds, and names what the code has."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.code_index import CodeIndex, code_index
from tests.readme.document import ROOT, text_of

DOCUMENT = "docs/architecture.md"
MOST_TERMS = 30
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = {
    contract["name"]: contract["layers"]
    for contract in PYPROJECT["tool"]["importlinter"]["contracts"]
    if contract["type"] == "layers"
}
#: What a backticked text is, if it names code: a path, or a dotted or CamelCase name.
PATH = re.compile(r"\.?\w[\w./-]*/[\w./-]*|\w+\.(?:py|md|toml|txt|js|json)")
NAME = re.compile(r"(?:[a-z_]\w*\.)+[A-Za-z_]\w*|_?[A-Z][a-z]\w*(?:\.\w+)?|[A-Z]{2,}[a-z]\w*")


def drawn() -> dict[str, list[str]]:
    """The layers of each picture: below `<!-- layers: NAME -->`, one layer a line."""
    blocks = re.findall(
        r"^<!-- layers: (.+?) -->\n```\w*\n(.*?)^```",
        text_of(DOCUMENT),
        re.MULTILINE | re.DOTALL,
    )
    return {
        name: [re.split(r"\s{2,}", line.strip())[0] for line in body.splitlines()]
        for name, body in blocks
    }


def backticked(document: str) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", text_of(document), flags=re.MULTILINE | re.DOTALL)
    return {found.removesuffix("()") for found in re.findall(r"`([^`\n]+)`", text)}


def unknown(names: set[str], index: CodeIndex) -> list[str]:
    """The names of files and code among `names` that do not exist."""
    missing = []
    for name in sorted(names):
        if PATH.fullmatch(name):
            missing += [] if (ROOT / name).exists() else [name]
        elif NAME.fullmatch(name):
            missing += [] if index.has(name) else [name]
    return missing


def glossary() -> list[str]:
    pattern = r"^## Glossary\n(.*?)(?=^## |\Z)"
    (section,) = re.findall(pattern, text_of(DOCUMENT), re.MULTILINE | re.DOTALL)
    return re.findall(r"^- (.+(?:\n  .+)*)", section, re.MULTILINE)


def test_the_layers_are_those_of_import_linter() -> None:
    assert drawn() == CONTRACTS


@pytest.mark.parametrize("document", [DOCUMENT, "docs/contributing.md"])
def test_every_file_and_name_exists(document: str) -> None:
    assert unknown(backticked(document), code_index()) == []


def test_a_name_that_does_not_exist_is_found() -> None:
    names = {"NoSuchClass", "ProviderManager.no_such_method", "backend/no_such.py", "no_such.name"}
    known = {"ProviderManager.fetch_data", "ProviderManager", "docs/architecture.md", "BTC", "60 s"}
    assert set(unknown(names | known, code_index())) == names


def test_the_glossary_is_short_sorted_and_one_sentence_a_term() -> None:
    entries = [" ".join(entry.split()) for entry in glossary()]
    terms = [re.match(r"\*\*(.+?)\*\*: [a-zA-Z`].+[^.]\.$", entry) for entry in entries]
    assert all(terms), [entry for entry, term in zip(entries, terms, strict=True) if not term]
    names = [term[1].lower() for term in terms if term]
    assert names == sorted(names)
    assert 10 <= len(names) <= MOST_TERMS
    assert [entry for entry in entries if ". " in entry] == []


def test_every_top_level_folder_is_explained() -> None:
    text = text_of(DOCUMENT)
    folders = {
        f"{path.relative_to(ROOT)}/"
        for top in ("backend", "api")
        for path in Path(ROOT / top).iterdir()
        if path.is_dir() and list(path.rglob("*.py"))
    }
    assert [folder for folder in sorted(folders) if f"`{folder}`" not in text] == []
