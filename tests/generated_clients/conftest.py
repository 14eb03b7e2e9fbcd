"""A real gateway in front of the tests' providers, and the tools that write clients."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients.environments import python_of
from tests.clients.requirements import Environment
from tests.dashboard.scenery import Scenery
from tests.generated_clients.tools import FOLDER, NODE_PACKAGES, PYTHON_PACKAGES, ran
from tests.life.conftest import forks
from tests.life.process import Gateway, running

__all__ = ["forks"]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with Scenery() as world, running(tmp_path, **world.environment()) as made:
        yield made


@pytest.fixture
async def programs() -> Path:
    """The folder of the programs of an environment with openapi-python-client."""
    environment = Environment("python", (), PYTHON_PACKAGES)
    return (await python_of(environment, FOLDER)).parent


@pytest.fixture
async def modules() -> Path:
    """A folder with openapi-typescript, openapi-fetch and TypeScript in `node_modules`."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = FOLDER / "node"
    folder.mkdir(parents=True, exist_ok=True)
    options = ("--no-audit", "--no-fund", "--save-exact", "--prefix", str(folder))
    await ran(npm, "install", *options, *NODE_PACKAGES, folder=folder)
    return folder
