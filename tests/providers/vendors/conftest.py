"""What the vendors' tests share: a client whose transport is respx."""

from collections.abc import AsyncIterator

import pytest
import respx

from backend.providers.client import ProviderClient
from tests.clocks import ManualClock


@pytest.fixture
async def client(clock: ManualClock, respx_mock: respx.MockRouter) -> AsyncIterator[ProviderClient]:
    assert respx_mock is not None, "the client must not find the network"
    async with ProviderClient(clock) as opened:
        yield opened
