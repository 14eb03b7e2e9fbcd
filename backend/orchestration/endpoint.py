"""A plan in use: its hosts, its limits and its key. Every call to a provider passes here."""

from collections.abc import Callable
from typing import Any

from backend.clock import Clock
from backend.errors import (
    Effect,
    GeoBlocked,
    NotAffordable,
    ProviderError,
    ProviderTimeout,
)
from backend.orchestration.circuit_breaker import AUTH_LADDER
from backend.orchestration.hosts import Hosts
from backend.orchestration.ladder import Ladder
from backend.orchestration.rate_limit_guard import Cost, Permit, RateLimitGuard
from backend.providers.adapter import Adapter, Auth, Call, Plan, Reply
from backend.providers.client import ProviderClient

#: Told when a call failed that another host may still answer.
OnRetry = Callable[[ProviderError, str], None]


class Credential:
    """A key, and whether the provider still takes it. A refused one is tried again rarely."""

    def __init__(self, clock: Clock, key: str) -> None:
        self._clock = clock
        self._key = key
        self._ladder = Ladder(clock, AUTH_LADDER)
        self._refused_until = 0.0

    def __repr__(self) -> str:
        return f"<Credential {'usable' if self.is_usable() else 'refused'}>"

    def is_usable(self) -> bool:
        return self._clock.monotonic() >= self._refused_until

    def refuse(self) -> None:
        """The provider said no, twice: not again for 15 min, 1 h, 6 h."""
        wait_s = self._ladder.climb()
        self._ladder.hold(wait_s)
        self._refused_until = self._clock.monotonic() + wait_s

    def reveal(self) -> str:
        return self._key


class Endpoint:
    """One plan of one provider, ready to be called."""

    def __init__(
        self,
        adapter: Adapter,
        plan: Plan,
        *,
        hosts: Hosts,
        guard: RateLimitGuard,
        credential: Credential | None,
        client: ProviderClient,
        clock: Clock,
    ) -> None:
        self.plan = plan
        self.guard = guard
        self.credential = credential
        self._adapter = adapter
        self._hosts = hosts
        self._client = client
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Endpoint {self.plan.name} {self._hosts!r} {self.guard!r}>"

    async def call(self, call: Call, deadline: float, on_retry: OnRetry) -> Any:
        """The payload from the first host that serves us. Raises ProviderError.

        `deadline` is on Clock.monotonic(). A host that blocks our address is left out from then
        on; only when all do is the provider blocked.
        """
        failed: ProviderError | None = None
        for url in self._hosts.available():
            try:
                return (await self._call_host(call, url, deadline)).payload
            except ProviderError as error:
                self._judge_host(url, error)
                if not error.moves_host:
                    raise
                on_retry(error, "another_host")
                failed = error if failed is None or isinstance(failed, GeoBlocked) else failed
        if failed is None or isinstance(failed, GeoBlocked):
            raise GeoBlocked(
                "every host refuses our address",
                http_status=failed.http_status if failed else None,
                retry_after_s=self._hosts.wait_s(),
            )
        raise failed

    def _judge_host(self, url: str, error: ProviderError) -> None:
        if isinstance(error, GeoBlocked):
            self._hosts.block(url, error.retry_after_s)
        elif error.effect is Effect.COOLDOWN:
            self._hosts.demote(url)

    async def _call_host(self, call: Call, url: str, deadline: float) -> Reply:
        left_s = deadline - self._clock.monotonic()
        if left_s <= 0:
            raise ProviderTimeout("no time was left for another call")
        permit = self._reserve(Cost(1, call.weight))
        was_sent, may_have_succeeded = True, True
        try:
            reply = await self._client.call(self._adapter, call, url, self._auth(), left_s)
            self.guard.observe(reply.headers)
            return reply
        except ProviderError as error:
            was_sent = error.was_sent
            may_have_succeeded = error.http_status is None or error.http_status < 300
            raise
        finally:  # a cancelled call too: it may have been counted over there
            self.guard.settle(permit, was_sent=was_sent, may_have_succeeded=may_have_succeeded)

    def _reserve(self, cost: Cost) -> Permit:
        permit = self.guard.try_acquire(cost)
        if isinstance(permit, Permit):
            return permit
        raise NotAffordable(
            f"the limit of the {permit.window} is used up",
            retry_after_s=permit.retry_at - self._clock.monotonic(),
        )

    def _auth(self) -> tuple[Auth, str] | None:
        if self.credential is None or self.plan.auth is None:
            return None
        return self.plan.auth, self.credential.reveal()
