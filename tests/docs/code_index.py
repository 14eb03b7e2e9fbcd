"""The names that the code defines: modules, their top level, classes and their members."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.readme.document import ROOT


def _targets(node: ast.AST) -> Iterator[str]:
    """The names that a statement binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


def _members(node: ast.ClassDef) -> Iterator[str]:
    """Methods, class attributes, and what methods assign to `self`."""
    for statement in node.body:
        yield from _targets(statement)
    for inner in ast.walk(node):
        if (
            isinstance(inner, ast.Attribute)
            and isinstance(inner.ctx, ast.Store)
            and isinstance(inner.value, ast.Name)
            and inner.value.id == "self"
        ):
            yield inner.attr


class CodeIndex:
    """Looks up dotted names: `CircuitBreaker`, `ProviderManager.fetch_data`, `rows.parse_rows`."""

    def __init__(self, paths: list[Path]) -> None:
        self._modules: defaultdict[str, set[str]] = defaultdict(set)
        self._classes: defaultdict[str, set[str]] = defaultdict(set)
        self._bases: defaultdict[str, set[str]] = defaultdict(set)
        for path in paths:
            self._read(path)

    def has(self, name: str) -> bool:
        owner, _, member = name.rpartition(".")
        owner = owner.rpartition(".")[2]
        if not owner:
            return member in self._classes or any(
                member in names for names in self._modules.values()
            )
        return member in self._modules[owner] or self._has_member(owner, member)

    def _has_member(self, owner: str, member: str) -> bool:
        bases = self._bases[owner]
        return member in self._classes[owner] or any(self._has_member(b, member) for b in bases)

    def _read(self, path: Path) -> None:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        stem = path.parent.name if path.name == "__init__.py" else path.stem
        for node in tree.body:
            self._modules[stem].update(_targets(node))
        for found in ast.walk(tree):
            if isinstance(found, ast.ClassDef):
                self._classes[found.name].update(_members(found))
                self._bases[found.name] |= {b.id for b in found.bases if isinstance(b, ast.Name)}


@cache
def code_index() -> CodeIndex:
    paths = [path for folder in ("backend", "api") for path in (ROOT / folder).rglob("*.py")]
    return CodeIndex([*paths, ROOT / "run_server.py"])
