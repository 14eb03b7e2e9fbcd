"""Starts the application in front of a loopback world."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from api.hf_unified_server import create_app
from backend.gateway import read_configuration
from tests.world.server import World


def without_foreign_settings(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """In this folder, and no keys or addresses from outside."""
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        monkeypatch.delenv(name)


@asynccontextmanager
async def serving(
    world: World, monkeypatch: pytest.MonkeyPatch, **settings: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway with these settings, from its start to its end."""
    for name, value in world.environment(**settings).items():
        monkeypatch.setenv(name, value)
    app = create_app(read_configuration())
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            yield client
