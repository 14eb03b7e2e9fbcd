"""3,200 raw answers: each is its provider's failure or an answer, and is over with it.

`python -m tests.fuzz.wire` plays them with another seed and counts what became of them.
"""

import asyncio
import gc
import logging
import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.fuzz import raw_bodies
from tests.fuzz.budget import FACTOR
from tests.fuzz.wire import Play, in_memory, on_sockets, on_tls
from tests.memory import growth

#: More of them by hand: `FUZZ_FACTOR=5`, and not the same ones in every run.
SEED = int.from_bytes(os.urandom(4)) if FACTOR else 0
#: A body may have 4 MiB, which stands in memory twice for a moment; and some for the bombs.
MOST_GROWN_MB = 48.0
#: Answers of each way, and the parts of them, so that several processes share the work.
IN_MEMORY, ON_SOCKETS, STAY_OPEN, BY_TLS = 1_200, 250, 50, 100
MEMORY_PARTS = 2


def part(count: int, number: int, parts: int) -> range:
    count *= max(FACTOR, 1)
    return range(count * number // parts, count * (number + 1) // parts)


@pytest.fixture(autouse=True)
def _foreseen(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The client's boundary logs what nobody foresaw."""
    yield
    assert not [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]


async def assert_harmless(play: Play, numbers: Iterable[int]) -> None:
    """Raises where an answer harmed, or left a task, a descriptor or memory behind."""
    _warm_up()
    await play(range(3), SEED + 1)
    tasks, descriptors = asyncio.all_tasks(), open_descriptors()
    with growth() as grown:
        assert await play(numbers, SEED)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks
    gc.collect()
    assert open_descriptors() <= descriptors  # those of earlier tests may have closed meanwhile
    assert grown.mb < MOST_GROWN_MB


def _warm_up() -> None:
    """What the test itself takes is no growth."""
    for megabytes in raw_bodies.BOMBS:
        raw_bodies.bomb(megabytes)


def open_descriptors() -> set[str]:
    """What the open descriptors are, but for this look at them."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{entry.name} {entry.readlink()}")
        except FileNotFoundError:
            continue
    return found


@pytest.mark.timeout(240)
@pytest.mark.parametrize("number", range(MEMORY_PARTS))
async def test_any_answer_is_an_answer_or_its_providers_failure(number: int) -> None:
    await assert_harmless(in_memory, part(IN_MEMORY, number, MEMORY_PARTS))


@pytest.mark.timeout(240)
async def test_any_answer_on_a_socket_leaves_nothing_behind() -> None:
    await assert_harmless(on_sockets, part(ON_SOCKETS, 0, 1))


@pytest.mark.timeout(240)
async def test_a_socket_that_stays_open_behind_any_answer_is_left_in_time() -> None:
    await assert_harmless(partial(on_sockets, closes=False), part(STAY_OPEN, 0, 1))


@pytest.mark.timeout(240)
async def test_any_damage_to_tls_records_is_a_failure_and_over_with_its_connection() -> None:
    await assert_harmless(on_tls, part(BY_TLS, 0, 1))
