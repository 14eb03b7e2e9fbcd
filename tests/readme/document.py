"""The README as its readers meet it: blocks of commands, answers and recipes, in their order."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
#: Where the README says that the gateway is.
ADDRESS = "localhost:7860"


@dataclass(frozen=True)
class Block:
    """`mark` is what a comment above it says: `ci: run`, `recipe: pandas`, or nothing."""

    mark: str
    language: str
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


BLOCKS = [
    Block(*found)
    for found in re.findall(
        r"(?:^<!-- (.*?) -->\n)?^```(\w*)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL
    )
]
#: All that a reader may type, without what CI runs block by block.
COMMANDS = [
    line
    for block in BLOCKS
    if block.language == "sh" and not block.mark.startswith("ci: ")
    for line in block.lines
]
#: A block and the one behind it: a question, and the answer that is shown.
PAIRS = list(pairwise(BLOCKS))


def recipe(name: str) -> str:
    (block,) = [block for block in BLOCKS if block.mark == f"recipe: {name}"]
    return block.text


def table(header: str) -> list[list[str]]:
    """The cells of the rows below a header, which begins so."""
    (rows,) = re.findall(rf"^{re.escape(header)}.*?\n\|[-|:]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines()]
