"""The gateway's client, watched: what each call cost, and one call at a time to each host."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from backend.clock import Clock
from backend.errors import Busy
from backend.providers.adapter import Adapter, Auth, Call, Reply
from backend.providers.client import ProviderClient

#: Calls of a whole run; a run over all providers makes about a hundred.
MOST_CALLS = 500


@dataclass
class Traffic:
    """What all clients of a run share."""

    calls: int = 0
    locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))


class WatchedTransport(httpx.AsyncBaseTransport):
    """Notes the status of the last response. The shared transport within stays open."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.status: int | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.status = None
        response = await self._inner.handle_async_request(request)
        self.status = response.status_code
        return response


class WatchedClient(ProviderClient):
    """Notes the calls since `begin`: status of the last one, milliseconds and bytes of all, and the
    largest share of the bytes that a call allows."""

    def __init__(self, clock: Clock, inner: httpx.AsyncBaseTransport, traffic: Traffic) -> None:
        self._watched = WatchedTransport(inner)
        super().__init__(clock, self._watched)
        self._traffic = traffic
        self.begin()

    def begin(self) -> None:
        self._watched.status = None
        self.ms, self.size, self.share = 0.0, 0, 0.0

    @property
    def status(self) -> int | None:
        return self._watched.status

    async def call(
        self,
        adapter: Adapter,
        call: Call,
        base_url: str,
        auth: tuple[Auth, SecretStr] | None,
        timeout_s: float,
    ) -> Reply:
        async with self._traffic.locks[urlsplit(base_url).netloc]:
            if self._traffic.calls >= MOST_CALLS:
                raise Busy(f"this run has made {MOST_CALLS} calls")
            self._traffic.calls += 1
            began = self._clock.monotonic()
            try:
                reply = await super().call(adapter, call, base_url, auth, timeout_s)
            finally:
                self.ms += (self._clock.monotonic() - began) * 1000
            self.size += reply.size
            self.share = max(self.share, reply.size / call.max_bytes)
            return reply
