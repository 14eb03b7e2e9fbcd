"""A world of providers for each test, and readers that the gateway can't count on."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.life.fork_server import fork_server
from tests.life.process import Forks
from tests.world.server import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as made:
        yield made


@pytest.fixture(scope="session", autouse=True)
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A gateway's process is forked from one that has imported it."""
    with fork_server(tmp_path_factory.mktemp("forks")) as server:
        Forks.server = server
        yield
        Forks.server = None
