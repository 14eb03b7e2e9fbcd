"""ACCESS_LOG at the real process: one JSON line for each request, however it is answered."""

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.life.process import running
from tests.world.server import World

NAMES = ["event", "at", "method", "path", "status", "duration_ms", "bytes", "client", "request_id"]
KEY = "gateway-key-hunter22"


def requests(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "logs" / "access.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


async def test_without_the_setting_there_is_no_file(world: World, tmp_path: Path) -> None:
    async with running(tmp_path, **world.environment()) as gateway:
        await gateway.client.get("/api/market")
        await gateway.stop()
    assert not (tmp_path / "logs" / "access.log").exists()
    assert (tmp_path / "logs" / "provider_health.log").exists()


@pytest.mark.parametrize("direct", ["true", "false"])
async def test_each_request_is_a_line(world: World, tmp_path: Path, direct: str) -> None:
    settings = world.environment(ACCESS_LOG="true", HTTP_DIRECT=direct, LOG_LEVEL="ERROR")
    async with running(tmp_path, **settings) as gateway:
        ask = gateway.client.get
        answers = [
            await ask("/api/market?limit=3", headers={"X-Request-Id": f"id-{number}"})
            for number in range(3)
        ]
        answers.append(await gateway.client.head("/api/market?limit=3"))
        answers.append(await ask("/api/nothing?token=hunter22"))
        answers.append(await ask("/coingecko/api/v3/ping?x_cg_demo_api_key=hunter22"))
        await gateway.stop()
    lines = [line for line in requests(tmp_path) if line["path"] != "/healthz"]
    assert len(lines) == len(answers)
    for line, answer in zip(lines, answers, strict=True):
        assert list(line) == NAMES
        assert line["event"] == "request.answered"
        assert datetime.fromisoformat(line["at"]).tzinfo is not None
        assert line["method"] == answer.request.method
        assert line["status"] == answer.status_code
        assert line["request_id"] == answer.headers["x-request-id"]
        assert line["client"] == "127.0.0.1"
        assert 0 <= line["duration_ms"] < 10_000
    assert [line["request_id"] for line in lines[:3]] == ["id-0", "id-1", "id-2"]
    assert lines[0]["path"] == "/api/market?limit=3"
    assert lines[0]["bytes"] == lines[2]["bytes"] == int(answers[0].headers["content-length"])
    assert lines[3]["bytes"] == 0
    assert lines[4]["path"] == "/api/nothing"
    assert "hunter22" not in json.dumps(lines)


async def test_refusals_streams_and_sockets_are_lines_too(world: World, tmp_path: Path) -> None:
    settings = world.environment(ACCESS_LOG="true", GATEWAY_API_KEYS=KEY, TRUST_PROXY="1")
    async with running(tmp_path, **settings) as gateway:
        for_reader = {"X-API-Key": KEY, "X-Forwarded-For": "203.0.113.9"}
        assert (await gateway.client.get("/api/gas")).status_code == 401
        assert (await gateway.client.get("/api/gas", headers=for_reader)).status_code == 200
        address = f"ws://127.0.0.1:{gateway.port}/ws?channels=gas"
        async with connect(address, additional_headers=for_reader, proxy=None) as reader:
            assert json.loads(await reader.recv())["op"] == "hello"
        async with gateway.client.stream(
            "GET", "/api/stream?channels=gas", headers=for_reader
        ) as response:
            await anext(response.aiter_lines())
        async with asyncio.timeout(5):
            while len([one for one in requests(tmp_path) if one["path"] != "/healthz"]) < 4:
                await asyncio.sleep(0.05)
        await gateway.stop()
    lines = {(one["path"], one["status"]): one for one in requests(tmp_path)}
    assert lines["/api/gas", 401]["client"] == "127.0.0.1"
    assert lines["/api/gas", 200]["client"] == "203.0.113.9"
    socket = lines["/ws?channels=gas", 101]
    assert (socket["method"], socket["bytes"], socket["client"]) == ("GET", None, "203.0.113.9")
    assert lines["/api/stream?channels=gas", 200]["bytes"] > 0
    assert KEY not in json.dumps([*map(str, lines.values())])


async def test_a_log_that_cannot_be_written_stops_no_answer(world: World, tmp_path: Path) -> None:
    (tmp_path / "logs" / "access.log").mkdir(parents=True)
    async with running(tmp_path, **world.environment(ACCESS_LOG="true")) as gateway:
        answer: httpx.Response = await gateway.client.get("/api/gas")
        told = await gateway.stop()
    assert answer.status_code == 200
    assert "LOG_DIR cannot be written: access.log is off: Is a directory" in told.output
