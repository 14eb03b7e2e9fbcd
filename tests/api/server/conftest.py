"""The stream's server, as its own tests have it, and the connections that are still in memory."""

import asyncio
from weakref import WeakSet

import pytest

from api.server.bounded_http import BoundedHttp
from tests.api.stream.conftest import push, serve_stream, served

__all__ = ["push", "serve_stream", "served"]


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> WeakSet[BoundedHttp]:
    seen = WeakSet[BoundedHttp]()
    made = BoundedHttp.connection_made

    def remembered(self: BoundedHttp, transport: asyncio.Transport) -> None:
        seen.add(self)
        made(self, transport)

    monkeypatch.setattr(BoundedHttp, "connection_made", remembered)
    return seen
