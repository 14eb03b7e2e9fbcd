"""The laws of the house that no linter knows: who may read the clock, the environment, the net."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CLOCK = {"time.time", "time.time_ns", "time.monotonic", "time.perf_counter", "time.sleep"}
CLOCK |= {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
ENVIRONMENT = {"os.environ", "os.getenv", "os.environb"}
#: What a vendor file may import: declarations, models, errors, and pure parts of the library.
VENDOR_IMPORTS = {
    "backend.errors",
    "backend.identity.instruments",
    "backend.models.account",
    "backend.models.chains",
    "backend.models.coins",
    "backend.models.gas",
    "backend.models.global_market",
    "backend.models.market",
    "backend.models.news",
    "backend.models.numbers",
    "backend.models.pass_through",
    "backend.models.ohlc",
    "backend.models.rates",
    "backend.models.raw_streams",
    "backend.models.sentiment",
    "backend.models.ticks",
    "backend.providers.adapter",
    "backend.providers.candle_columns",
    "backend.providers.feeds",
    "backend.providers.rankings",
    "backend.providers.rates",
    "backend.providers.pass_through",
    "backend.providers.rows",
    "backend.providers.vendors",
    "backend.providers.vendors.binance",
    "backend.providers.vendors.binance_raw_streams",
    "backend.providers.vendors.kraken",
    "backend.providers.venues",
    "collections.abc",
    "dataclasses",
    "datetime",
    "email.utils",
    "json",
    "decimal",
    "functools",
    "itertools",
    "math",
    "operator",
    "re",
    "statistics",
    "typing",
    "urllib.parse",
}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def uses(path: Path, names: set[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and dotted(node) in names:
            yield f"{path.relative_to(ROOT)}:{node.lineno} {dotted(node)}"


@pytest.mark.parametrize(
    ("names", "allowed"), [(CLOCK, "backend/clock.py"), (ENVIRONMENT, "backend/settings.py")]
)
def test_one_file_reads_the_clock_and_one_the_environment(names: set[str], allowed: str) -> None:
    paths = [*sources("backend"), *sources("api"), ROOT / "run_server.py"]
    found = [use for path in paths if path != ROOT / allowed for use in uses(path, names)]
    assert found == []


def loop_times(tree: ast.AST) -> Iterator[int]:
    """Lines that read an event loop's clock: `loop.time()`, `get_running_loop().time()`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "time":
            source = node.value.func if isinstance(node.value, ast.Call) else node.value
            if dotted(source).endswith("loop"):
                yield node.lineno


def shared_clocks(tree: ast.AST) -> Iterator[int]:
    """Lines that make a clock at import: module and class attributes, defaults of arguments."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from shared_clocks(node.args)
            continue
        if isinstance(node, ast.Call) and dotted(node.func).endswith("Clock"):
            yield node.lineno
        yield from shared_clocks(node)


@pytest.mark.parametrize("find", [loop_times, shared_clocks])
def test_time_comes_from_the_clock_that_is_handed_in(
    find: Callable[[ast.AST], Iterator[int]],
) -> None:
    paths = [*sources("backend"), *sources("api"), ROOT / "run_server.py"]
    trees = {path: ast.parse(path.read_text()) for path in paths}
    found = [f"{path.relative_to(ROOT)}:{line}" for path in paths for line in find(trees[path])]
    assert found == []


def test_the_search_for_clocks_finds_them() -> None:
    reads = ["loop.time()", "self.loop.time()", "asyncio.get_running_loop().time()", "_loop.time"]
    assert [list(loop_times(ast.parse(text))) for text in reads] == [[1]] * len(reads)
    shared = ["C = SystemClock()", "def f(c=clock.SystemClock()): ...", "class A:\n  c = AClock()"]
    assert [len(list(shared_clocks(ast.parse(text)))) for text in shared] == [1] * len(shared)
    fine = "def f(self):\n  now = self._clock.monotonic()\n  return SystemClock(), moment.time()"
    assert not [*loop_times(ast.parse(fine)), *shared_clocks(ast.parse(fine))]


def test_the_clock_file_does_read_the_clock() -> None:
    assert list(uses(ROOT / "backend/clock.py", CLOCK))


@pytest.mark.parametrize("path", sources("backend/providers/vendors"), ids=lambda path: path.stem)
def test_a_vendor_file_is_pure(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Global)
    assert imported <= VENDOR_IMPORTS


def test_one_folder_knows_the_server_from_within() -> None:
    """What else uses a protocol of uvicorn would not fall back for a version that is not known."""
    paths = [*sources("backend"), *sources("api"), ROOT / "run_server.py"]
    within = [path for path in paths if "uvicorn.protocols" in path.read_text()]
    assert {path.parent for path in within} == {ROOT / "api" / "server"}


def test_the_top_level_holds_what_the_user_chose_and_nothing_else() -> None:
    chosen = {"pyproject.toml", "README.md", "run_server.py", "backend", "api", "tests", "logs"}
    chosen |= {"Dockerfile", "docs", "CHANGELOG.md", "constraints.txt"}
    made_by_tools = {"state", "build", "dist"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    found = {name for name in found if not name.endswith(".egg-info") and name != "__pycache__"}
    assert found - chosen - made_by_tools == set()
