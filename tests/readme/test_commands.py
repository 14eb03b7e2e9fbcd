"""Each command of README and docs/ is run as it is written, against the real gateway."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from backend.settings import Settings
from tests.dashboard.scenery import Scenery
from tests.life.process import Gateway, running, started
from tests.live.loopback import environment
from tests.readme.document import BLOCKS, COMMANDS, PAIRS, README, ROOT, text_of
from tests.readme.terminal import output_until, printed, shell

pytestmark = pytest.mark.timeout(60)

CURLS = [line for line in COMMANDS if line.startswith("curl ")]
STREAMS = [line for line in COMMANDS if " -N " in line or "/websockets " in line]
#: The check of real providers; here it calls those of the world.
LIVE = next(line for line in COMMANDS if line.endswith(" tests.live"))
CHECK = next(line for line in COMMANDS if line.endswith(" --check"))
#: Blocks that start a gateway with a provider out of service, and the answer that it gives.
BREAKS = [
    (block, shown) for block, shown in PAIRS if "_ENABLED=" in block.text or ":9 " in block.text
]
ANSWERED = [
    (question.lines[0], shown.text)
    for question, shown in PAIRS
    if question.text.startswith("curl ") and shown.language == "json"
]
#: Times differ from answer to answer.
MOMENTS = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


def shape(value: Any) -> Any:
    """Names and types, in their order; figures and times may differ."""
    if isinstance(value, dict):
        return [(name, shape(one)) for name, one in value.items()]
    if isinstance(value, list):
        return [shape(one) for one in value]
    if isinstance(value, str):
        return MOMENTS.sub("a time", value)
    return type(value).__name__


def test_every_command_is_run() -> None:
    """By a test of this folder or, if a comment marks it, by .ci/run."""
    starts = [block.lines[0] for block, _ in BREAKS]
    assert set(COMMANDS) == {*CURLS, *STREAMS, *starts, LIVE, CHECK}
    marks = {(block.document, block.mark) for block in BLOCKS if block.mark.startswith("ci: ")}
    run = re.findall(r"\(documented (\S+) (\w+)\)", (ROOT / ".ci" / "run").read_text())
    assert marks == {(document, f"ci: {name}") for document, name in run}


async def test_each_curl_is_answered(gateway: Gateway) -> None:
    assert len(CURLS) >= 5
    for line in set(CURLS) - set(STREAMS):
        answer = json.loads(await printed(gateway, line))
        rows = answer if isinstance(answer, list) else answer.get("data")
        assert rows or answer.get("s") == "ok", line


async def test_the_answers_that_are_shown_are_the_real_ones(gateway: Gateway) -> None:
    assert len(ANSWERED) == 4
    for line, shown in ANSWERED:
        assert shape(json.loads(shown)) == shape(json.loads(await printed(gateway, line))), line


async def test_each_stream_command_prints_a_snapshot(gateway: Gateway) -> None:
    assert len(STREAMS) == 2
    for line in STREAMS:
        text = await output_until(gateway, line, '"type":"snapshot"')
        assert '"channel":"market"' in text


async def test_the_check_of_real_providers_reaches_those_of_the_world(
    world: Scenery, tmp_path: Path
) -> None:
    settings = environment(world)
    async with started(tmp_path, before=(*shell(LIVE),), **settings) as process:
        code = await process.wait()
    text = (tmp_path / "output.txt").read_text(encoding="utf-8")
    assert code in (0, 1), text
    lines = {tuple(line.split()[:3]) for line in text.splitlines()}
    assert ("binance", "ticker_24hr", "ok") in lines, text


async def test_the_check_says_who_would_answer(world: Scenery, tmp_path: Path) -> None:
    async with started(tmp_path, before=(*shell(CHECK),), **world.environment()) as process:
        code = await process.wait()
    text = (tmp_path / "output.txt").read_text(encoding="utf-8")
    assert code == 0, text
    assert any(line.split()[:2] == ["/api/market", "coingecko_free,"] for line in text.splitlines())


@pytest.mark.parametrize(("block", "shown"), BREAKS, ids=[block.lines[0] for block, _ in BREAKS])
async def test_a_broken_provider_changes_tried(
    world: Scenery, tmp_path: Path, block: Any, shown: Any
) -> None:
    """Both gateways use the same folder, so the second could read what the first has stored."""
    start, curl = block.lines
    assert len(re.findall(r"(\w+)=(\S*) ", start)) == 2
    settings = world.environment(OKX_ENABLED="true")
    async with running(tmp_path, **settings) as gateway:
        well = json.loads(await printed(gateway, curl))["meta"]
        assert [one["provider"] for one in well["tried"]] == ["binance"]
    async with running(tmp_path, before=shell(start), **settings) as gateway:
        broken = json.loads(await printed(gateway, curl))["meta"]
        status = (await gateway.client.get("/api/status")).json()
    wanted = json.loads("{" + shown.text + "}")
    assert shape({"tried": broken["tried"]}) == shape(wanted)
    assert broken["source"] == wanted["tried"][-1]["provider"]
    (binance,) = [one for one in status["providers"] if one["name"] == "binance"]
    assert binance["status"] == ("cooldown" if ":9 " in start else "disabled")


async def test_the_keys_of_the_example_give_access(world: Scenery, tmp_path: Path) -> None:
    """Keys in a sentence are commands, too."""
    text = text_of("docs/settings.md")
    (keys,) = re.findall(r"`GATEWAY_API_KEYS=(\S+)`", text)
    (key,) = re.findall(r"`X-API-Key: (\S+)`", text)
    (bearer,) = re.findall(r"`Authorization: (Bearer \S+)`", text)
    (first,) = re.findall(r'`(\{"op":"auth"[^`]+)`', text)
    async with running(tmp_path, **world.environment(GATEWAY_API_KEYS=keys)) as gateway:
        ask = gateway.client.get
        assert (await ask("/api/gas")).status_code == 401
        assert (await ask("/api/gas", headers={"X-API-Key": key})).status_code == 200
        assert (await ask("/api/gas", headers={"Authorization": bearer})).status_code == 200
        async with connect(f"ws://127.0.0.1:{gateway.port}/ws?channels=gas") as reader:
            await reader.send(first)
            frames = [json.loads(await reader.recv()) for _ in range(3)]
        assert "data" in [frame["op"] for frame in frames]


def test_the_front_matter_names_the_default_port() -> None:
    front = text_of(README).split("---")[1]
    assert "sdk: docker" in front
    port = Settings(_env_prefix="NOBODY_SETS_THIS_", _env_file=None).port
    assert f"app_port: {port}" in front
