"""SIGTERM: responses in progress end, stream clients are told, the process exits in time."""

import asyncio
import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.life.clients import connected, dribble, everything, get
from tests.life.process import OUTPUT, QUICK, Ended, free_port, running, started
from tests.world.server import World

#: More candles than the kernel's buffer takes.
MUCH = "/api/market/ohlc?symbol=BTC&interval=1m&start=2026-11-20&end=2026-11-25&limit=1000"
TERM, INT = signal.SIGTERM, signal.SIGINT


def assert_ended_well(ended: Ended, within_s: float = 5.0) -> None:
    assert ended.code == 0, ended.output
    assert ended.took_s < within_s
    assert "Traceback" not in ended.output
    assert "Finished server process" in ended.output


@pytest.mark.parametrize("signals", [(TERM,), (TERM, TERM), (INT,), (INT, INT), (TERM, INT)])
async def test_each_signal_ends_the_gateway_and_stream_clients_receive_the_shutdown(
    world: World, tmp_path: Path, signals: tuple[int, ...]
) -> None:
    async with running(tmp_path, **world.environment()) as gateway:
        address = f"ws://127.0.0.1:{gateway.port}/ws?channels=market"
        async with (
            connect(address, proxy=None) as reader,
            connected(gateway.port, get("/api/stream?channels=gas")) as events,
        ):
            while json.loads(await reader.recv())["op"] != "data":
                pass
            reading = asyncio.create_task(everything(events))
            await asyncio.sleep(0.2)
            ended = await gateway.stop(*signals)
            frames = [json.loads(text) async for text in reader]
            events_text = await asyncio.wait_for(reading, 5)
    assert_ended_well(ended)
    assert frames[-1] == {"op": "shutdown", "reconnect_after_ms": 1500}
    assert reader.close_code == 1001
    assert b"event: shutdown" in events_text
    assert events_text.endswith(b"0\r\n\r\n")


async def ask_until_the_end(port: int) -> list[bytes]:
    """The heads of all responses on one connection; IncompleteReadError if one is missing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heads = [b""]
    with closing(writer):
        while b"\r\nconnection: close\r\n" not in heads[-1]:
            writer.write(get("/api/market?limit=1"))
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            await reader.readexactly(int(heads[-1].split(b"content-length: ")[1].split()[0]))
    return heads[1:]


async def test_a_client_that_asks_all_the_time_gets_every_response(
    world: World, tmp_path: Path
) -> None:
    """They are cached: no request is in progress when the next one may have come already."""
    async with running(tmp_path, **world.environment()) as gateway:
        asking = [asyncio.create_task(ask_until_the_end(gateway.port)) for _ in range(8)]
        await asyncio.sleep(0.5)
        ended = await gateway.stop()
        responses = await asyncio.wait_for(asyncio.gather(*asking), 5)
    assert_ended_well(ended)
    assert {head[:15] for heads in responses for head in heads} == {b"HTTP/1.1 200 OK"}
    assert min(map(len, responses)) > 2


async def test_a_request_in_progress_is_answered(world: World, tmp_path: Path) -> None:
    world.delay_s = 1.5
    async with running(tmp_path, **world.environment()) as gateway:
        waiting = asyncio.create_task(gateway.client.get("/api/gas"))
        await asyncio.sleep(0.3)
        ended = await gateway.stop()
        answer = await waiting
    assert_ended_well(ended, 3)
    assert answer.status_code == 200
    assert answer.json()["data"]["chain"] == "ethereum"


async def test_a_request_with_a_silent_provider_is_ended(world: World, tmp_path: Path) -> None:
    world.faults |= dict.fromkeys(("coingecko_free", "binance"), "silence")
    settings = world.environment(REQUEST_DEADLINE="60", PROVIDER_TIMEOUT="60")
    async with running(tmp_path, *QUICK, **settings) as gateway:
        page = {"Origin": "https://dashboard.example", "X-Request-Id": "the-last"}
        waiting = asyncio.create_task(gateway.client.get("/api/market", headers=page))
        await asyncio.sleep(0.3)
        ended = await gateway.stop()
        answer = await waiting
    assert_ended_well(ended)
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-request-id"] == "the-last"
    assert "the gateway stops" in answer.json()["detail"]


async def test_clients_that_do_not_read_do_not_delay_the_end(world: World, tmp_path: Path) -> None:
    async with (
        running(tmp_path, **world.environment()) as gateway,
        connected(gateway.port, get(MUCH) * 20),
        connected(gateway.port, get("/api/stream?channels=market")),
    ):
        await asyncio.sleep(0.5)
        ended = await gateway.stop()
    assert_ended_well(ended)


@pytest.mark.parametrize(
    "said",
    [b"", b"GET /api/gas HTTP/1.1\r\nHost: ", b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n"],
)
async def test_slow_requests_do_not_delay_the_end(
    world: World, tmp_path: Path, said: bytes
) -> None:
    async with (
        running(tmp_path, **world.environment()) as gateway,
        connected(gateway.port, said) as slow,
    ):
        dribbling = asyncio.create_task(dribble(slow, b"gateway.test" * 50))
        await asyncio.sleep(0.3)
        ended = await gateway.stop()
        await asyncio.wait_for(dribbling, 5)
    assert_ended_well(ended, 2)


async def test_an_unread_output_delays_neither_answers_nor_the_end(
    world: World, tmp_path: Path
) -> None:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    fill(writes)
    os.set_blocking(writes, True)
    try:
        async with running(tmp_path, stdout=writes, **world.environment()) as gateway:
            answer = await gateway.client.get("/api/market?limit=1")
            ended = await gateway.stop()
    finally:
        os.close(reads)
        os.close(writes)
    assert answer.status_code == 200
    assert (ended.code, ended.output) == (0, "")
    assert 1 < ended.took_s < 5  # its thread was waited for


def fill(pipe: int) -> None:
    try:
        while True:
            os.write(pipe, b"\n" * 4_096)
    except BlockingIOError:
        pass


async def test_a_locked_state_file_does_not_delay_the_end(world: World, tmp_path: Path) -> None:
    world.faults |= dict.fromkeys(("coingecko_free", "binance"), "silence")
    settings = world.environment(REQUEST_DEADLINE="60", PROVIDER_TIMEOUT="60")
    path = tmp_path / "gateway.sqlite"
    async with running(tmp_path, *QUICK, STATE_PATH=str(path), **settings) as gateway:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            waiting = asyncio.create_task(gateway.client.get("/api/market"))
            await asyncio.sleep(0.3)
            ended = await gateway.stop()
            await asyncio.gather(waiting, return_exceptions=True)
    assert ended.code == 0, ended.output
    assert ended.took_s < 5
    assert "Traceback" not in ended.output


#: An application with a thread that hangs.
HANGING = """
import asyncio, contextlib, signal, sys, threading
import fastapi, uvicorn
from api import process
@contextlib.asynccontextmanager
async def life(app):
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    print("ready", flush=True)
    yield
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
app = fastapi.FastAPI(lifespan=life)
config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None)
process.Server(config, app, exit_after_s=1.0).run()
"""


async def test_the_process_exits_although_a_thread_hangs(tmp_path: Path) -> None:
    async with started(tmp_path, "-c", HANGING) as process:
        await until_logged(tmp_path, "ready")
        began = time.monotonic()
        process.send_signal(TERM)
        assert await asyncio.wait_for(process.wait(), 6) == 0
    assert 0.9 < time.monotonic() - began < 2
    assert "the shutdown takes too long" in (tmp_path / OUTPUT).read_text()


async def test_a_signal_while_it_starts_ends_it(world: World, tmp_path: Path) -> None:
    path = tmp_path / "gateway.sqlite"
    settings = world.environment(HOST="127.0.0.1", PORT=str(free_port()), STATE_PATH=str(path))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE held (one)")
        other.execute("BEGIN EXCLUSIVE")  # the start waits for it a second
        async with started(tmp_path, **settings) as process:
            await until_logged(tmp_path, "Waiting for application startup")
            process.send_signal(TERM)
            assert await asyncio.wait_for(process.wait(), 5) == 0


async def until_logged(folder: Path, text: str) -> None:
    async with asyncio.timeout(20):
        while text not in (folder / OUTPUT).read_text():
            await asyncio.sleep(0.02)
