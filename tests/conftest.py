"""Fixtures shared by all tests. Sockets to anywhere but loopback are refused (pyproject.toml)."""

import asyncio
import gc
from functools import cache

import fastapi.routing
import fastapi.utils
import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.clocks import ManualClock

# On a busy machine inputs are made slowly, which says nothing about them.
settings.register_profile("suite", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("suite")


def pytest_configure() -> None:
    # Else looptime's question for the current loop makes one in each sync test and leaves it open.
    asyncio.set_event_loop(None)
    # Each gateway and client would read the authorities' certificates anew: a tenth of a second.
    vars(httpx._transports.default)["create_ssl_context"] = cache(httpx.create_ssl_context)
    # Each application would build the schemas of all responses anew: a third of its start.
    vars(fastapi.routing)["create_model_field"] = cache(fastapi.utils.create_model_field)


def pytest_collection_finish() -> None:
    # Some 11,000 tests and all modules live to the end: each full collection would scan them anew.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
