"""The README's commands do what it says: each is run as it stands, against the real gateway."""

import asyncio
import json
import re
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend.settings import Settings
from tests.life.process import Gateway, running
from tests.world.server import World

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\w*\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines() if not line.startswith("#")]
CURLS = [line for line in LINES if line.startswith("curl ")]
#: A stream has no end: it is left after so long, in seconds.
STREAM_S = 3


async def said(gateway: Gateway, line: str) -> str:
    """What a command prints; it may be cut off, and must not fail."""
    command = line.replace("localhost:7860", f"localhost:{gateway.port}")
    command = command.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    process = await asyncio.create_subprocess_exec(
        *("timeout", "--preserve-status", str(STREAM_S + 1)),
        *shlex.split(command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        output = await asyncio.wait_for(process.stdout.read(), STREAM_S)
    except TimeoutError:
        process.kill()
        output = b""
    await process.wait()
    return output.decode()


async def first_words(gateway: Gateway, line: str) -> str:
    """Of a stream."""
    command = line.replace("localhost:7860", f"localhost:{gateway.port}")
    process = await asyncio.create_subprocess_exec(
        *shlex.split(command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    text = b""
    async with asyncio.timeout(10):
        while b"snapshot" not in text:
            text += await process.stdout.read(4_096)
    process.kill()
    await process.wait()
    return text.decode()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as made:
        yield made


def test_there_are_commands_to_run() -> None:
    assert len(CURLS) >= 7


@pytest.mark.timeout(60)
async def test_each_curl_gets_what_it_asks_for(world: World, tmp_path: Path) -> None:
    async with running(tmp_path, **world.environment()) as gateway:
        for line in CURLS:
            if " -N " in line:
                assert "event:" in await first_words(gateway, line)
                continue
            answer = json.loads(await said(gateway, line))
            assert answer.get("data") or answer.get("providers"), (line, answer)


def test_the_space_is_told_the_port_that_is_served() -> None:
    front = README.split("---")[1]
    assert "sdk: docker" in front
    port = Settings(_env_prefix="NOBODY_SETS_THIS_", _env_file=None).port
    assert f"app_port: {port}" in front


@pytest.mark.timeout(60)
async def test_breaking_it_shows_who_answers_instead(world: World, tmp_path: Path) -> None:
    (start,) = [line for line in LINES if line.startswith("BINANCE_ENABLED=")]
    name, _, value = start.split()[0].partition("=")
    curl = next(line for line in CURLS if "limit=1" in line and "ohlc" in line)
    for settings, source in (({}, "binance"), ({name: value}, "coingecko_free")):
        folder = tmp_path / source
        folder.mkdir()
        async with running(folder, **world.environment(**settings)) as gateway:
            assert json.loads(await said(gateway, curl))["meta"]["source"] == source
            assert source in gateway.output
    assert source in README
