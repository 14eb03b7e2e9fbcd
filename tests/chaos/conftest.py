"""What all of the fault table's tests share."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _fewer_logs() -> Iterator[None]:
    """Dozens of gateways at a time tell thousands of events, of which a report would keep all."""
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All here take minutes together, but for the one that looks at the document."""
    for item in items:
        if "tests/chaos/" in str(item.path) and item.path.name != "test_matrix.py":
            item.add_marker("chaos")
