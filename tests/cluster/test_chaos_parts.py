"""The parts of the chaos run: the proxy, the figures, and a group that heals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster.chaos.figures import (
    Reading,
    ReadingFile,
    exceeded,
    most_in_a_window,
    summary,
)
from tests.cluster.chaos.group import Member
from tests.cluster.chaos.proxy import Link, linked
from tests.world.server import World


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    """To a server that sends back what it receives."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(100):
                writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, linked(server.sockets[0].getsockname()[1]) as link:
        yield link


async def echoed(link: Link, wait_s: float = 1.0) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    try:
        writer.write(b"a line\n")
        async with asyncio.timeout(wait_s):
            return await reader.readline()
    finally:
        writer.transport.abort()


async def test_a_link_passes(link: Link) -> None:
    assert await echoed(link) == b"a line\n"


async def test_a_delay_counts_in_each_direction(link: Link) -> None:
    link.delay_s, now = 0.05, asyncio.get_running_loop().time
    began = now()
    await echoed(link)
    assert now() - began >= 0.1


async def test_a_hole_answers_nothing_until_it_ends_and_then_everything(link: Link) -> None:
    await link.set_mode("hole")
    reading = asyncio.create_task(echoed(link, 5.0))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(reading), 0.1)
    await link.set_mode("pass")
    assert await reading == b"a line\n"


async def test_a_refusing_link_ends_connections_and_accepts_none(link: Link) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    writer.write(b"a line\n")
    await reader.readline()
    await link.set_mode("refuse")
    with suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.transport.abort()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", link.port)
    await link.set_mode("pass")
    assert await echoed(link) == b"a line\n"


@pytest.mark.parametrize(
    ("times", "most"),
    [([0.0, 1.0, 9.9], 3), ([0.0, 1.0, 10.0], 2), ([0.0, 10.0, 20.0], 1), ([], 0)],
)
def test_the_most_in_any_window(times: list[float], most: int) -> None:
    assert most_in_a_window(times, [1] * len(times), 10.0) == most


def test_calls_over_a_limit_are_found_without_the_providers_word() -> None:
    world = World(names=())
    world.limits["binance"] = 100, 10.0
    world.called_at["binance"] = [0.0, 5.0, 6.0]
    world.weights["binance"] = [80, 2, 80]
    assert exceeded(world) == ["binance: 162 of 100 in one window"]
    world.weights["binance"] = [1, 1, 1]
    assert not exceeded(world)


def test_readings_are_read_once_and_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "readings"
    file = ReadingFile(path)
    with path.open("a") as opened:
        opened.write("1.5 0.1 80 cached 200 hit /a\n2.5 0.1 80 co")
        opened.flush()
        assert [one.began for one in file.read()] == [1.5]
        opened.write("ld 503 - /b\n")
        opened.flush()
        assert file.read() == [Reading(2.5, 0.1, 80, "cold", 503, "-", "/b")]


def test_a_read_is_answered_by_its_status_and_in_time() -> None:
    good = Reading(0.0, 0.1, 80, "cached", 200, "hit", "/")
    assert good.is_answered
    assert not Reading(0.0, 0.1, 80, "cached", 500, "-", "/").is_answered
    assert not Reading(0.0, 5.5, 80, "cached", 200, "hit", "/").is_answered
    assert not Reading(0.0, 0.1, 80, "cached", 0, "-", "/").is_answered


def test_a_cold_read_is_one_that_the_cache_could_not_answer() -> None:
    readings = [
        Reading(0.0, 0.001, 80, "cold", 200, "hit", "/"),
        Reading(0.0, 0.2, 80, "cold", 200, "miss", "/"),
        Reading(0.0, 0.3, 80, "cold", 503, "-", "/"),
        Reading(0.0, 9.0, 80, "cached", 200, "hit", "/"),
    ]
    found = summary(readings, "cold")
    assert (found.count, found.worst_ms, found.refused) == (2, 300.0, 1)


def test_a_process_is_down_between_the_fault_and_its_end(tmp_path: Path) -> None:
    member = Member(tmp_path, 80, Link(0), {}, down=[(10.0, 20.0)])
    assert member.was_up(1.0, 9.0)
    assert member.was_up(21.0, 22.0)
    assert not member.was_up(9.0, 10.5)
    assert not member.was_up(19.0, 25.0)
    member.note_down()
    assert not member.was_up(0.0, float("inf"))
