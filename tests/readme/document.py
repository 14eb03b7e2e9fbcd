"""README.md and the pages of docs/: their commands, answers, recipes and tables, in order."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = "README.md"
#: Where the documents say that the gateway is.
ADDRESS = "localhost:7860"


@dataclass(frozen=True)
class Block:
    """A fenced block. `mark` is the comment above it: `ci: run`, `recipe: pandas`, or nothing."""

    document: str
    mark: str
    language: str
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


#: README first, then the pages that are written by hand, by name.
DOCUMENTS = [README, *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
BLOCKS = [
    Block(document, *found)
    for document in DOCUMENTS
    for found in re.findall(
        r"(?:^<!-- (.*?) -->\n)?^```(\w*)\n(.*?)^```", text_of(document), re.MULTILINE | re.DOTALL
    )
]
#: All commands that a reader may type, without those that CI runs block by block.
COMMANDS = [
    line
    for block in BLOCKS
    if block.language == "sh" and not block.mark.startswith("ci: ")
    for line in block.lines
]
#: A block and the one after it in the same document: a request, and the answer that is shown.
PAIRS = [
    (block, following)
    for block, following in pairwise(BLOCKS)
    if block.document == following.document
]


def recipe(name: str) -> str:
    (block,) = [block for block in BLOCKS if block.mark == f"recipe: {name}"]
    return block.text


def table(document: str, header: str) -> list[list[str]]:
    """The cells of the rows below the header that begins with `header`."""
    pattern = rf"^{re.escape(header)}.*?\n\|[-|:]+\n((?:\|.*\n)+)"
    (rows,) = re.findall(pattern, text_of(document), re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines()]
