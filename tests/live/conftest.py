"""The world that the live check asks here, and a run over it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from backend.gateway import read_configuration
from backend.providers.registry import REGISTRY
from tests.live.loopback import NAMES, environment
from tests.live.row import Row
from tests.live.run import run
from tests.world.messages import Reply, Request, json_reply
from tests.world.push import PushWorld
from tests.world.server import World

Ask = Callable[..., Awaitable[list[Row]]]


class ChangingWorld(World):
    """`changed` are rewritten: each row of their lists loses and gains a field."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: dict[str, str] = {}

    def _reply(self, name: str, request: Request, fault: str) -> Reply:
        reply = super()._reply(name, request, fault)
        rows: list[dict[str, Any]] = json.loads(reply.body) if name in self.changed else []
        if not rows or not isinstance(rows[0], dict):
            return reply
        lost = self.changed[name]
        kept = [{key: value for key, value in row.items() if key != lost} for row in rows]
        return json_reply([row | {"novelty": {"is": True}} for row in kept])


@pytest.fixture
async def world() -> AsyncIterator[ChangingWorld]:
    async with ChangingWorld() as made:
        yield made


@pytest.fixture
def ask(world: ChangingWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """Checks the providers of `names`, or all, with the settings of the world and further ones."""

    async def asked(
        *names: str, push: PushWorld | None = None, longest_s: float = 50, **settings: str
    ) -> list[Row]:
        monkeypatch.chdir(tmp_path)  # no .env of the developer
        for name, value in (environment(world, push) | settings).items():
            monkeypatch.setenv(name, value)
        specs = [spec for spec in REGISTRY if spec.name in (names or NAMES)]
        return await run(read_configuration(), specs, longest_s=longest_s)

    return asked


def of(rows: list[Row], provider: str, operation: str = "") -> Row:
    found = [row for row in rows if row.provider == provider]
    return next(row for row in found if row.operation.startswith(operation))
