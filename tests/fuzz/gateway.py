"""The real application before the loopback world, for tests that are not coroutines."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.hf_unified_server import create_app
from backend.gateway import read_configuration
from tests.world.server import World

BASE_URL = "http://gateway.test"


@dataclass
class Gateway:
    """Asked from outside of its event loop, one request after the other."""

    runner: asyncio.Runner
    world: World
    app: FastAPI
    client: httpx.AsyncClient

    def ask(self, request: httpx.Request) -> httpx.Response:
        return self.runner.run(self.client.send(request))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.ask(self.client.build_request(method, path, **options))

    def document(self) -> Any:
        return self.get("/openapi.json").json()


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Gateway]:
    """From its start to its end, in a folder of its own, with no key from outside."""
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        patch.chdir(folder)
        for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
            patch.delenv(name)
        stack = AsyncExitStack()
        try:
            yield runner.run(_start(runner, stack, patch, settings))
        finally:
            runner.run(stack.aclose())


async def _start(
    runner: asyncio.Runner,
    stack: AsyncExitStack,
    patch: pytest.MonkeyPatch,
    settings: dict[str, str],
) -> Gateway:
    world = await stack.enter_async_context(World())
    for name, value in world.environment(**settings).items():
        patch.setenv(name, value)
    app = create_app(read_configuration())
    await stack.enter_async_context(app.router.lifespan_context(app))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url=BASE_URL)
    return Gateway(runner, world, app, await stack.enter_async_context(client))
