"""A gateway in front of its own world, on a clock that can be stepped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from fastapi import FastAPI

from api.encoding import to_json
from api.hf_unified_server import Application, _install_edge, create_app
from api.server.hooks import ConnectionTimeouts
from backend.clock import Clock
from backend.gateway import Gateway, open_gateway
from backend.orchestration.provider import Provider
from backend.providers.transport import PooledTransport
from backend.providers.tunnel import Direct
from backend.settings import Configuration
from tests.chaos.clock import SteppedClock, WrongClock
from tests.chaos.subjects import DEADLINE_S, PLAIN, PLAIN_SETTINGS, Changes, Subject, configuration
from tests.providers.raw_server import client_context, server_context
from tests.world.server import World

#: Made once: each gateway would read the authorities' certificates anew.
TLS = client_context()


@dataclass(frozen=True)
class Reading:
    """What one reader got. `at` is the gateway's own instant when it came, `took_s` its time."""

    status: int
    headers: dict[str, str]
    body: bytes
    took_s: float
    at: datetime

    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Scene:
    """One world, its gateway, and everything that readers were told."""

    subject: Subject
    world: World
    clock: SteppedClock
    wrong: WrongClock
    app: FastAPI
    readings: list[Reading] = field(default_factory=list)

    async def read(self, route: str = "") -> Reading:
        """One reader's answer, told as an ASGI server would be told."""
        began = self.clock.monotonic()
        messages = await _asked(self.app, route or self.subject.route)
        start, body = messages[0], b"".join(part.get("body", b"") for part in messages[1:])
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        took_s = self.clock.monotonic() - began
        return Reading(start["status"], headers, body, took_s, self.wrong.now())

    async def ask(self) -> Reading:
        """A reader of the subject's route; then all refreshes have ended."""
        reading = await self.read()
        self.readings.append(reading)
        await self.settle()
        return reading

    async def crowd(self, count: int, per_s: float) -> list[Reading]:
        """This many readers, one after the other at this rate."""
        tasks = []
        for _ in range(count):
            tasks.append(asyncio.create_task(self.read()))
            await asyncio.sleep(1 / per_s)
        readings = list(await asyncio.gather(*tasks))
        self.readings += readings
        await self.settle()
        return readings

    async def settle(self) -> None:
        """Until no refresh is under way: a clock must not be stepped in the middle of one."""
        async with asyncio.timeout(DEADLINE_S + 10):
            while refreshes := [one for one in asyncio.all_tasks() if _is_refresh(one)]:
                await asyncio.wait(refreshes)

    def rotation(self) -> list[dict[str, Any]]:
        """The newest choices, as `/api/status` lists them."""
        found: list[dict[str, Any]] = self._document(list(self._gateway.status.history.choices))
        return found

    def provider(self) -> dict[str, Any]:
        """What `/api/status` says of the subject, without the cost of the other providers."""
        found: dict[str, Any] = self._document(self._provider.status())
        return found

    def comes_last(self) -> bool:
        """It failed repeatedly: its rivals, if there are any, are asked before it."""
        return bool(self.subject.rivals and self._provider._flaps.is_flapping)

    @property
    def _gateway(self) -> Gateway:
        gateway: Gateway = self.app.state.gateway
        return gateway

    @property
    def _provider(self) -> Provider:
        providers = self._gateway.status.manager.providers
        return next(one for one in providers if one.name == self.subject.name)

    @staticmethod
    def _document(model: object) -> Any:
        return orjson.loads(to_json(model))

    def calls(self) -> int:
        """Of the subject; what a key's account is, is not asked by any reader."""
        return len(self.call_times())

    def paths(self) -> list[str]:
        """Of all calls to the subject."""
        return [path.partition("?")[0] for path in self.world.paths[self.subject.name]]

    def call_times(self) -> list[float]:
        name = self.subject.name
        pairs = zip(self.world.paths[name], self.world.called_at[name], strict=True)
        return [at for path, at in pairs if not path.endswith("/key")]


def _is_refresh(task: asyncio.Task[Any]) -> bool:
    """By the name that the cache gives to its tasks."""
    return task.get_name().startswith("refresh ")


async def _asked(app: FastAPI, route: str) -> list[dict[str, Any]]:
    path, _, query = route.partition("?")
    messages: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"gateway.test")],
        "client": ("127.0.0.1", 50_000),
        "server": ("gateway.test", 80),
    }
    await app(scope, receive, send)
    return messages


#: What the next lifespan of the application opens its gateway with.
OPENED_BY: dict[str, Any] = {}


def _opened(_settings: Configuration) -> AbstractAsyncContextManager[Gateway]:
    return open_gateway(**OPENED_BY, transport=PooledTransport(TLS, Direct()))


@cache
def _application() -> Application:
    """One for all gateways: the first request to an application takes 30 ms."""
    return create_app(Configuration(PLAIN_SETTINGS, {}), opened=_opened)


def opened_by(settings: Configuration, clock: Clock) -> Application:
    """The application, for a gateway with these. Its cached responses are gone."""
    app = _application()
    OPENED_BY.update(configuration=settings, clock=clock)
    _install_edge(app, PLAIN_SETTINGS, ConnectionTimeouts())
    return app


@asynccontextmanager
async def staged(
    subject: Subject,
    *,
    alone: bool = False,
    changes: Changes = PLAIN,
    start: datetime | None = None,
    is_tls: bool = False,
) -> AsyncIterator[Scene]:
    """A world with the subject and, unless it is `alone`, its rivals; all is well at first."""
    clock = SteppedClock(start)
    wrong, names = WrongClock(clock), subject.beside(alone=alone)
    tls = server_context() if is_tls else None
    async with World(clock, dict.fromkeys(names), tls) as world:
        world.good_keys |= changes.keys
        app = opened_by(configuration(world, subject, names, changes), wrong)
        async with app.router.lifespan_context(app):
            await asyncio.sleep(0)
            yield Scene(subject, world, clock, wrong, app)
