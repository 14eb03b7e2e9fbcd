"""The README's commands do what it says: each is run as it stands, against the real gateway."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from backend.settings import Settings
from tests.dashboard.scenery import Scenery
from tests.life.process import Gateway, running
from tests.readme.document import BLOCKS, COMMANDS, PAIRS, ROOT, TEXT
from tests.readme.terminal import first_words, printed, shell

pytestmark = pytest.mark.timeout(60)

CURLS = [line for line in COMMANDS if line.startswith("curl ")]
STREAMS = [line for line in COMMANDS if " -N " in line or "/websockets " in line]
#: Lines that start another gateway than the first; the answer behind them is that one's.
BREAKS = [
    (block, shown) for block, shown in PAIRS if "_ENABLED=" in block.text or ":9 " in block.text
]
ANSWERED = [
    (question.lines[0], shown.text)
    for question, shown in PAIRS
    if question.text.startswith("curl ") and shown.language == "json"
]
#: What changes from one question to the next.
MOMENTS = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


def shape(value: Any) -> Any:
    """Names and types, in their order; figures and moments may differ."""
    if isinstance(value, dict):
        return [(name, shape(one)) for name, one in value.items()]
    if isinstance(value, list):
        return [shape(one) for one in value]
    if isinstance(value, str):
        return MOMENTS.sub("a moment", value)
    return type(value).__name__


def test_every_command_is_run_by_someone() -> None:
    """By a test of this folder, or, where a comment marks it, by .ci/run."""
    starts = [block.lines[0] for block, _ in BREAKS]
    assert set(COMMANDS) == {*CURLS, *STREAMS, *starts}
    marked = {block.mark.removeprefix("ci: ") for block in BLOCKS if block.mark.startswith("ci: ")}
    assert marked == set(re.findall(r"\(readme (\w+)\)", (ROOT / ".ci" / "run").read_text()))


async def test_each_curl_is_answered(gateway: Gateway) -> None:
    assert len(CURLS) >= 5
    for line in set(CURLS) - set(STREAMS):
        answer = json.loads(await printed(gateway, line))
        assert answer["data"], line


async def test_the_answers_that_are_shown_are_those_one_gets(gateway: Gateway) -> None:
    assert len(ANSWERED) == 3
    for line, shown in ANSWERED:
        assert shape(json.loads(shown)) == shape(json.loads(await printed(gateway, line))), line


async def test_each_stream_says_what_is_asked_of_it(gateway: Gateway) -> None:
    assert len(STREAMS) == 2
    for line in STREAMS:
        text = await first_words(gateway, line, '"type":"snapshot"')
        assert '"channel":"market"' in text


@pytest.mark.parametrize(("block", "shown"), BREAKS, ids=[block.lines[0] for block, _ in BREAKS])
async def test_breaking_it_changes_who_was_tried(
    world: Scenery, tmp_path: Path, block: Any, shown: Any
) -> None:
    """In the same folder, so what the first one has learnt is there for the second."""
    start, curl = block.lines
    assert len(re.findall(r"(\w+)=(\S*) ", start)) == 2
    async with running(tmp_path, **world.environment()) as gateway:
        well = json.loads(await printed(gateway, curl))["meta"]
        assert [one["provider"] for one in well["tried"]] == ["binance"]
    async with running(tmp_path, before=shell(start), **world.environment()) as gateway:
        broken = json.loads(await printed(gateway, curl))["meta"]
    wanted = json.loads("{" + shown.text + "}")
    assert shape({"tried": broken["tried"]}) == shape(wanted)
    assert broken["source"] == wanted["tried"][-1]["provider"]


async def test_the_key_that_is_shown_opens_the_door(world: Scenery, tmp_path: Path) -> None:
    """Keys in a sentence are commands, too."""
    (keys,) = re.findall(r"`GATEWAY_API_KEYS=(\S+)`", TEXT)
    (key,) = re.findall(r"`X-API-Key: (\S+)`", TEXT)
    (bearer,) = re.findall(r"`Authorization: (Bearer \S+)`", TEXT)
    (first,) = re.findall(r'`(\{"op":"auth"[^`]+)`', TEXT)
    async with running(tmp_path, **world.environment(GATEWAY_API_KEYS=keys)) as gateway:
        ask = gateway.client.get
        assert (await ask("/api/gas")).status_code == 401
        assert (await ask("/api/gas", headers={"X-API-Key": key})).status_code == 200
        assert (await ask("/api/gas", headers={"Authorization": bearer})).status_code == 200
        async with connect(f"ws://127.0.0.1:{gateway.port}/ws?channels=gas") as reader:
            await reader.send(first)
            frames = [json.loads(await reader.recv()) for _ in range(3)]
        assert "data" in [frame["op"] for frame in frames]


def test_the_space_is_told_the_port_that_is_served() -> None:
    front = TEXT.split("---")[1]
    assert "sdk: docker" in front
    port = Settings(_env_prefix="NOBODY_SETS_THIS_", _env_file=None).port
    assert f"app_port: {port}" in front


def test_what_it_points_at_is_there() -> None:
    targets = re.findall(r'(?:\]\(|src=")((?!http)[^)"]+)', TEXT)
    assert len(targets) > 8
    assert [target for target in targets if not (ROOT / target).exists()] == []
