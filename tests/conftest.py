"""Fixtures shared by all tests. Sockets to anywhere but loopback are refused (pyproject.toml)."""

import asyncio

import pytest

from tests.clocks import ManualClock


def pytest_configure() -> None:
    # Else looptime's question for the current loop makes one in each sync test and leaves it open.
    asyncio.set_event_loop(None)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
