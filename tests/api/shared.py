"""Gateways that several tests of a module ask, each in front of a world of its own.

For tests that read or are refused, and change neither world nor gateway: starting one for each
would take most of their time. They run on a loop of their own, in a thread: each test has another.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from tests.api.serving import serving, without_foreign_settings
from tests.world.server import World

T = TypeVar("T")


class OnLoop(httpx.AsyncBaseTransport):
    """Has another loop's transport handle requests of any loop. Bodies are complete then."""

    def __init__(self, loop: asyncio.AbstractEventLoop, inner: httpx.AsyncBaseTransport) -> None:
        self._loop, self._inner = loop, inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        handled = self._inner.handle_async_request(request)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(handled, self._loop))


class SharedGateways:
    """One gateway for each set of settings, from the first test that asks for it to the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, folder: Path) -> None:
        self._loop, self._folder = loop, folder
        self._stack = AsyncExitStack()
        self._served: dict[tuple[tuple[str, str], ...], httpx.AsyncBaseTransport] = {}

    def client(self, **settings: str) -> httpx.AsyncClient:
        key = tuple(sorted(settings.items()))
        if key not in self._served:
            folder = self._folder / str(len(self._served))
            folder.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                without_foreign_settings(patch, folder)
                self._served[key] = self._run(self._start(patch, settings))
        return httpx.AsyncClient(transport=self._served[key], base_url="http://gateway.test")

    def close(self) -> None:
        self._run(self._stack.aclose())

    async def _start(
        self, patch: pytest.MonkeyPatch, settings: dict[str, str]
    ) -> httpx.AsyncBaseTransport:
        world = await self._stack.enter_async_context(World())
        client = await self._stack.enter_async_context(serving(world, patch, **settings))
        return OnLoop(self._loop, client._transport)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@contextmanager
def shared_gateways(folder: Path) -> Iterator[SharedGateways]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    gateways = SharedGateways(loop, folder)
    try:
        yield gateways
    finally:
        gateways.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
