"""What all of the fault table's tests share."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast
from unittest.mock import patch

import pytest

from backend.cache.freshness import Freshness
from backend.categories import CATEGORIES, GLOBAL
from tests.chaos.answers import MAX_STALE_S
from tests.chaos.subjects import TTL_S


@pytest.fixture(autouse=True)
def _fewer_logs() -> Iterator[None]:
    """Dozens of gateways at a time tell thousands of events, of which a report would keep all."""
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def _short_fixed_freshness() -> Iterator[None]:
    """Each step of a clock makes a refresh due, also where the freshness is no setting."""
    short = replace(GLOBAL, fixed=Freshness(TTL_S, MAX_STALE_S[GLOBAL.name]))
    with patch.dict(cast("dict[str, Any]", CATEGORIES), {GLOBAL.name: short}):
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The table's tests take minutes; all but those of a real process run in virtual time.

    Virtual time passes only while every socket of the loop is silent, so a busy machine makes
    nothing late. A thread's work is waited for in steps of 10 ms.
    """
    for item in items:
        if "tests/chaos/" in str(item.path) and item.path.name != "test_matrix.py":
            item.add_marker("chaos")
            if item.path.name != "test_processes.py":
                item.add_marker(pytest.mark.looptime(idle_step=0.01, noop_cycles=4))
