from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.dashboard.scenery import Scenery
from tests.life.conftest import forks
from tests.life.process import Gateway, running

__all__ = ["forks"]


@pytest.fixture
async def world() -> AsyncIterator[Scenery]:
    async with Scenery() as made:
        yield made


@pytest.fixture
async def gateway(world: Scenery, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running(tmp_path, **world.environment()) as made:
        yield made
