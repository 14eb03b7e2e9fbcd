"""One process without a store, beside an earlier commit of the same gateway in the same run."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.cluster_reads import cost_table, costs_of
from tests.benchmarks.cluster_scene import LASTING, Scene, figure, table
from tests.benchmarks.fanout_control import ROOT
from tests.benchmarks.proc import cpu_s
from tests.benchmarks.whole import CATEGORIES, first_answer_s, started
from tests.world.server import World

#: The default limit of a client, behind a proxy whose header says which client asks.
LIMITED = {"CLIENT_RATE_LIMIT": "600/minute", "TRUST_PROXY": "1"}


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A folder with the files of `commit`."""
    with TemporaryDirectory(prefix="cluster_before_") as temporary:
        folder = Path(temporary) / "tree"
        _git("worktree", "add", "--detach", str(folder), commit)
        try:
            yield folder
        finally:
            _git("worktree", "remove", "--force", str(folder))


def is_known(commit: str) -> bool:
    """False in a copy without git's history."""
    if shutil.which("git") is None:
        return False
    command = ("git", "-C", str(ROOT), "cat-file", "-e", f"{commit}^{{commit}}")
    done = subprocess.run(command, check=False, stderr=subprocess.DEVNULL)  # noqa: S603 - our own
    return done.returncode == 0


def _git(*arguments: str) -> None:
    command = ("git", "-C", str(ROOT), *arguments)
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own


async def beside(scene: Scene, commit: str, rounds: int, requests: int, starts: int) -> str:
    before, now = f"{commit}, before", "this code"
    with checked_out(commit) as tree:
        roots = {before: tree, now: ROOT}
        subjects = {
            (name, is_limited): await scene.gateway(
                name + (", 600 a minute for a client" if is_limited else ""),
                {"PYTHONPATH": str(root), **LASTING, **(LIMITED if is_limited else {})},
                str(root / "run_server.py"),
            )
            for is_limited in (False, True)
            for name, root in roots.items()
        }
        costs = await costs_of([*subjects.values()], rounds, requests)
        tables = [
            cost_table([subjects[name, is_limited].name for name in roots], costs, first.name)
            for is_limited in (False, True)
            if (first := subjects[before, is_limited])
        ]
        return "\n".join([*tables, await _starts(roots, starts)])


async def _starts(roots: dict[str, Path], count: int) -> str:
    seconds: dict[str, list[float]] = {name: [] for name in roots}
    cpu: dict[str, list[float]] = {name: [] for name in roots}
    memory: dict[str, list[float]] = {name: [] for name in roots}
    for number in range(count + 1):  # the first one compiles
        for name, root in roots.items():
            async with World() as world, started(world, root) as gateway:
                took_s = await first_answer_s(gateway)
                used_s = cpu_s(gateway.process.pid)
                for path in CATEGORIES * 3:
                    assert (await gateway.client.get(path)).status_code == 200
                if number:
                    seconds[name].append(took_s)
                    cpu[name].append(used_s)
                    memory[name].append(gateway.rss_mb)
    heads = ("start", "first answer after s", "CPU by then, s", "RSS MiB with all categories")
    rows = [
        [name, figure(seconds[name]), figure(cpu[name]), figure(memory[name], 1)] for name in roots
    ]
    return table(heads, rows)
