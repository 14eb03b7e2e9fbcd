"""A world of providers for each test, and readers that the gateway can't count on."""

from collections.abc import AsyncIterator

import pytest

from tests.world.server import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as made:
        yield made
