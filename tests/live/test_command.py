"""The command `python -m tests.live`: exit code and output."""

import asyncio
from pathlib import Path

from tests.life.process import started
from tests.live.conftest import ChangingWorld
from tests.live.loopback import environment, nowhere
from tests.live.report import summary
from tests.live.row import OK, Row
from tests.live.shapes import read_shapes


async def printed(folder: Path, *arguments: str, **settings: str) -> tuple[int | None, str]:
    """The exit code and the output of the command."""
    async with started(folder, "-m", "tests.live", *arguments, **settings) as process:
        code = await asyncio.wait_for(process.wait(), 50)
    return code, (folder / "output.txt").read_text(encoding="utf-8")


async def test_the_command_ends_well_without_internet(tmp_path: Path) -> None:
    code, text = await printed(tmp_path, **nowhere())
    assert code == 0, text
    assert text.splitlines()[-1].startswith("Nothing could be reached")
    outcomes = {line.split()[2] for line in text.splitlines() if " @ " not in line and line}
    assert "connect_error" in text
    assert "ok" not in outcomes


async def test_the_exit_code_and_the_table_of_the_command(
    world: ChangingWorld, tmp_path: Path
) -> None:
    only = ("--only", "coinbase", "binance", "--markdown", "--shapes", str(tmp_path / "s.json"))
    settings = environment(world) | {"BINANCE_STREAM_URL": ""}
    code, text = await printed(tmp_path, *only, "--accept", **settings)
    assert code == 0, text
    assert text.startswith("| provider | operation | outcome |")
    assert set(read_shapes(tmp_path / "s.json")) == {
        *("binance ticker_24hr", "binance klines 1h", "coinbase stats", "coinbase candles 1h")
    }
    world.faults = {"coinbase": "renamed"}
    (tmp_path / "output.txt").unlink()
    code, text = await printed(tmp_path, *only, **settings)
    assert code == 1, text
    assert "| coinbase | stats | FAILED bad_payload | 200 |" in text


def test_the_last_line_counts_the_outcomes() -> None:
    rows = [Row("a", "b", OK), Row("a", "c", "bad_payload"), Row("a", "d"), Row("e", "f", OK)]
    assert summary(rows) == "2 ok, 1 failed, 1 not_asked\n"
    assert summary([Row("a", "b", "timeout"), Row("c", "d")]).startswith("Nothing could be")
    assert summary([Row("a", "b", "timeout"), Row("c", "d", "geo_blocked")]).startswith("1 geo")
