"""Fixtures shared by all tests. Sockets to anywhere but loopback are refused (pyproject.toml)."""

import asyncio
from functools import cache

import httpx
import pytest

from tests.clocks import ManualClock


def pytest_configure() -> None:
    # Else looptime's question for the current loop makes one in each sync test and leaves it open.
    asyncio.set_event_loop(None)
    # Each gateway and client would read the authorities' certificates anew: a tenth of a second.
    vars(httpx._transports.default)["create_ssl_context"] = cache(httpx.create_ssl_context)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
