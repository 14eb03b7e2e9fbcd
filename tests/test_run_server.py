"""The real process: start, log, serve, stop; invalid settings; an unwritable log folder."""

import asyncio
import json
import os
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.life.process import OUTPUT, free_port
from tests.life.process import started as python
from tests.world.server import World

ROOT = Path(__file__).resolve().parent.parent
KEY = "CG-thekeyofthistest00000001"


@dataclass
class Running:
    process: asyncio.subprocess.Process
    client: httpx.AsyncClient
    folder: Path

    async def stop(self) -> tuple[float, str]:
        """Ends it by SIGTERM; gives the seconds that took, and all that it printed."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(self.process.communicate(), 20)
        return time.monotonic() - began, output.decode()


async def launch(folder: Path, **settings: str) -> asyncio.subprocess.Process:
    kept = ("PATH", "HOME", "VIRTUAL_ENV", "SYSTEMROOT")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "run_server.py"),
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


@asynccontextmanager
async def running(folder: Path, **settings: str) -> AsyncIterator[Running]:
    port = free_port()
    process = await launch(folder, HOST="127.0.0.1", PORT=str(port), **settings)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            await wait_until_serving(client, process)
            yield Running(process, client, folder)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def wait_until_serving(
    client: httpx.AsyncClient, process: asyncio.subprocess.Process
) -> None:
    for _ in range(200):
        assert process.returncode is None, "it ended at once"
        try:
            await client.get("/healthz")
        except httpx.TransportError:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("it does not serve")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as made:
        yield made


async def test_it_serves_logs_and_stops(world: World, tmp_path: Path) -> None:
    world.good_keys["coingecko_pro"] = KEY
    world.faults["binance"] = "http500"
    settings = world.environment(COINGECKO_PRO_API_KEY=KEY, LOG_LEVEL="DEBUG")
    async with running(tmp_path, **settings) as served:
        texts = [
            (await served.client.get(path)).text
            for path in ("/api/market", "/api/market/ohlc?symbol=BTC&interval=4h", "/api/status")
        ]
        took_s, output = await served.stop()
    assert served.process.returncode == 0
    assert took_s < 5
    assert "Provider Manager initialized" in output
    assert "market: coingecko_pro > coingecko_free > binance" in output
    assert "ohlc: binance > coingecko_pro > coingecko_free" in output
    assert "CRYPTOPANIC_API_KEY adds cryptopanic (news)" in output
    assert "COINGECKO_PRO_API_KEY adds" not in output
    assert "Finished server process" in output
    assert "uvicorn.error" not in output
    assert "Uvicorn running on http://127.0.0.1:" in output
    logs = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert set(logs) == {
        "provider_rotation.log",
        "provider_failures.log",
        "provider_health.log",
    }
    failures = [json.loads(line) for line in logs["provider_failures.log"].splitlines()]
    assert {"provider": "binance", "reason": "upstream_5xx", "status": 500}.items() <= failures[
        -1
    ].items()
    for text in (*texts, output, *logs.values()):
        assert KEY not in text
        assert "Traceback" not in text


@pytest.mark.parametrize("direct", ["true", "false"])
async def test_stream_clients_receive_the_shutdown_message(
    world: World, tmp_path: Path, direct: str
) -> None:
    settings = world.environment(WS_DIRECT=direct)
    async with running(tmp_path, **settings) as served:
        address = f"ws://127.0.0.1:{served.client.base_url.port}/ws?channels=market"
        async with (
            connect(address, proxy=None) as reader,
            connect(address, proxy=None, close_timeout=1) as stuck,
        ):
            stuck.transport.pause_reading()
            while json.loads(await reader.recv())["op"] != "data":
                pass
            took_s, output = await served.stop()
            frames = [json.loads(text) async for text in reader]
    assert frames[-1] == {"op": "shutdown", "reconnect_after_ms": 1500}
    assert reader.close_code == 1001
    assert took_s < 5
    assert served.process.returncode == 0
    assert "Traceback" not in output
    assert "Exception" not in output


async def test_answers_outlive_a_kill(world: World, tmp_path: Path) -> None:
    settings = world.environment(LOG_DIR=str(tmp_path / "logs"))
    async with running(tmp_path, **settings) as first:
        before = (await first.client.get("/api/gas")).json()
        await asyncio.sleep(0.3)  # it is written behind the reader's back
        first.process.kill()
        await first.process.wait()
    await world.stop("ethereum_rpc")
    async with running(tmp_path, **settings, CACHE_TTL_GAS="0.1") as second:
        after = (await second.client.get("/api/gas")).json()
        assert after["data"] == before["data"]
        assert (after["meta"]["stale"], after["meta"]["stale_reason"]) == (True, "connect_error")


async def test_it_stops_in_time_with_a_silent_provider(world: World, tmp_path: Path) -> None:
    world.faults |= dict.fromkeys(("coingecko_free", "binance"), "silence")
    settings = world.environment(REQUEST_DEADLINE="60", PROVIDER_TIMEOUT="60")
    async with running(tmp_path, **settings) as served:
        waiting = asyncio.create_task(served.client.get("/api/market"))
        await asyncio.sleep(0.5)
        took_s, _ = await served.stop()
        await asyncio.gather(waiting, return_exceptions=True)
    assert took_s < 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CACHE_TTL_MARKET", "-1"),
        ("PORT", "many"),
        ("BINANCE_BASE_URL", "ftp://elsewhere"),
        ("COINGECKO_FREE_LIMITS", "lots"),
        ("GATEWAY_API_KEYS", "short"),
    ],
)
async def test_an_invalid_setting_stops_the_start_with_one_line(
    tmp_path: Path, name: str, value: str
) -> None:
    process = await launch(tmp_path, **{name: value})
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    lines = output.decode().splitlines()
    assert process.returncode == 2
    assert len(lines) == 1
    assert name in lines[0]


async def test_a_log_folder_that_cannot_be_written_is_a_warning(
    world: World, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    settings = world.environment(LOG_DIR=str(blocked / "logs"))
    async with running(tmp_path, **settings) as served:
        answer = await served.client.get("/api/market")
        _, output = await served.stop()
    assert answer.status_code == 200
    assert "LOG_DIR cannot be written" in output


async def test_it_raises_the_limit_of_descriptors_for_stream_clients(
    world: World, tmp_path: Path
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = 200  # as a service manager may set it
    settings = world.environment(WS_MAX_CLIENTS="2000")
    async with running(tmp_path, **settings) as served:
        taken, _ = resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE)
    assert taken >= min(2_000, hard)
    code = "import resource; from api import process; process.raise_descriptors(100_000);"
    code = f"import logging; logging.basicConfig(); {code}"
    code += "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f"ulimit -Sn {soft}; ulimit -Hn 4096; exec {sys.executable} -c '{code}'",
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert output.decode().splitlines()[-1] == "4096"
    assert "WS_MAX_CLIENTS" in output.decode()


COLLECTOR = """
import gc, os
from api import process
from api.command_line import run_command
started = process.Server.startup

async def startup(self, sockets=None):
    was_on = gc.isenabled()
    await started(self, sockets)
    print(was_on, gc.isenabled(), gc.get_freeze_count() > 0, flush=True)
    os._exit(0)

process.Server.startup = startup
run_command([])
"""


async def test_objects_of_the_start_are_left_alone_and_later_ones_are_collected(
    world: World, tmp_path: Path
) -> None:
    environment = world.environment(PORT=str(free_port()), LOG_DIR=str(tmp_path))
    async with python(tmp_path, "-c", COLLECTOR, **environment) as process:
        assert await asyncio.wait_for(process.wait(), 30) == 0
    assert (tmp_path / OUTPUT).read_text().splitlines()[-1] == "False True True"
