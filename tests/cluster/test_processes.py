"""Real processes over one real Valkey: one gateway, whichever of them is asked."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.servers import Server, running
from tests.life import process
from tests.world.server import World

#: A lease, and two seconds more.
HEALED_S = 5.0
TOGETHER = ("/api/market?limit=3", "/api/gas", "/api/market/ohlc?symbol=BTC&limit=2")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "valkey"
    folder.mkdir()
    with running(folder) as one:
        yield one


async def until_led(gateway: process.Gateway, times: int = 1, within_s: float = HEALED_S) -> str:
    """The name of the process that leads, once a leader has been logged so many times."""
    async with asyncio.timeout(within_s):
        while gateway.output.count("leads the cluster") < times:
            await asyncio.sleep(0.02)
    lines = [line for line in gateway.output.splitlines() if "leads the cluster" in line]
    return lines[-1].split()[-3]


async def read(gateway: process.Gateway, path: str) -> tuple[int, bytes]:
    """By a new connection, which any worker may accept."""
    answer = await gateway.client.get(path, headers={"Connection": "close"})
    return answer.status_code, answer.content


async def test_workers_ask_once_and_show_the_same(tmp_path: Path, server: Server) -> None:
    async with World() as world:
        settings = world.environment(REDIS_URL=server.url, WORKERS="2")
        async with process.running(tmp_path, **settings) as gateway:
            await until_led(gateway)
            for path in TOGETHER:
                answers = await asyncio.gather(*(read(gateway, path) for _ in range(20)))
                assert {status for status, _ in answers} == {200}
                assert len({body for _, body in answers}) == 1
            assert world.calls["coingecko_free"] == world.calls["ethereum_rpc"] == 1
            assert world.calls["binance"] == 1
            leader = await until_led(gateway)
            os.kill(worker_pid(gateway, leader.rpartition("/")[2]), signal.SIGKILL)
            killed_at = time.monotonic()
            await until_led(gateway, times=2)
            assert time.monotonic() - killed_at < 2.0  # the supervisor has released its lease
            assert (await read(gateway, "/api/market/ohlc?symbol=ETH&limit=2"))[0] == 200
            assert world.overruns == []
            assert (await gateway.stop()).code == 0


def worker_pid(gateway: process.Gateway, number: str) -> int:
    pids = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text()
    wanted = f"--worker={number}".encode()
    found = [pid for pid in pids.split() if wanted in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return int(found[0])


async def test_a_store_that_is_away_at_the_start_is_one_line(tmp_path: Path) -> None:
    async with World() as world:
        url = f"redis://someone:geheim-pw@127.0.0.1:{process.free_port()}"
        async with process.running(tmp_path, **world.environment(REDIS_URL=url)) as gateway:
            await asyncio.sleep(1.2)
            lines = [line for line in gateway.output.splitlines() if "REDIS_URL" in line]
            assert len(lines) == 1
            assert "the server is unreachable" in lines[0]
            assert "geheim-pw" not in gateway.output
            assert (await read(gateway, "/healthz"))[0] == 200


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis://:wrong-pw@127.0.0.1:{port}", "refuses the user, the password"),
        ("redis://127.0.0.1:{port}", "refuses the user, the password"),
        ("http://127.0.0.1:{port}", "must be like redis://"),
    ],
)
async def test_a_wrong_address_or_password_stops_the_start(
    tmp_path: Path, url: str, problem: str
) -> None:
    with running(tmp_path, "valkey-9.1", "--requirepass", "right-pw") as server:
        settings: dict[str, Any] = {"REDIS_URL": url.format(port=server.port)}
        async with process.started(tmp_path, **settings) as started:
            assert await asyncio.wait_for(started.wait(), 20) == 2
    output = (tmp_path / process.OUTPUT).read_text()
    assert output.count("\n") == 1
    assert output.startswith("invalid setting  REDIS_URL: ")
    assert problem in output
    assert "wrong-pw" not in output
