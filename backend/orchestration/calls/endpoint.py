"""A plan in use: its hosts, its limits and its key. Every call to a provider passes here."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from pydantic import SecretStr

from backend.clock import Clock
from backend.errors import (
    BatchRefused,
    Busy,
    GeoBlocked,
    MalformedResponse,
    Moved,
    NotAffordable,
    NoTimeLeft,
    ProviderError,
    ProviderTimeout,
    RateLimited,
)
from backend.models.status import ProviderState
from backend.orchestration.calls.hosts import Hosts
from backend.orchestration.health.backoff import Backoff
from backend.orchestration.health.circuit_breaker import AUTH_DELAYS_S
from backend.orchestration.limits.ledger import Ledger
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.limits.window import Cost, Permit
from backend.providers.adapter import Adapter, Auth, Call, Plan, Reply
from backend.providers.client import ProviderClient

#: A refusal by rate that may teach the rate; 418 comes of calling on after it.
HTTP_TOO_MANY = 429
#: Calls of one endpoint under way at once.
MOST_IN_FLIGHT = 32
#: Of its time a call waits at most this share for its slot; the rest is the provider's.
LONGEST_QUEUEING = 1 / 3
#: So often one call may be sent on within its host.
MOST_REDIRECTS = 2
#: A provider that was given less than this (seconds) is not condemned for its silence.
FAIR_TIME_S = 0.25
#: Told when a call failed that another host may still answer.
OnRetry = Callable[[ProviderError, str], None]


class Credential:
    """A key, and whether the provider still takes it. A refused one is tried again rarely."""

    def __init__(
        self,
        clock: Clock,
        key: SecretStr,
        *,
        refused_until: float = 0.0,
        on_refused: Callable[[float], None] = lambda _until: None,
    ) -> None:
        """`refused_until` (monotonic): by an earlier run. `on_refused` gets each new end."""
        self._clock = clock
        self._key = key
        self._backoff = Backoff(clock, AUTH_DELAYS_S)
        self._refused_until = refused_until
        self._on_refused = on_refused

    def __repr__(self) -> str:
        return f"<Credential {'usable' if self.is_usable() else 'refused'}>"

    def is_usable(self) -> bool:
        return self._clock.monotonic() >= self._refused_until

    def refuse(self) -> None:
        """The provider said no, twice: not again for 15 min, 1 h, 6 h."""
        if not self.is_usable():
            return  # calls that were under way together are one refusal
        wait_s = self._backoff.next_delay_s()
        self._backoff.pause(wait_s)
        self._refused_until = self._clock.monotonic() + wait_s
        self._on_refused(self._refused_until)

    @property
    def key(self) -> SecretStr:
        """Revealed only where a request is made of it."""
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
        ledger: Ledger | None = None,
    ) -> None:
        self.plan = plan
        self.guard = guard
        self._ledger = ledger
        self.credential = credential
        self._adapter = adapter
        self._hosts = hosts
        self._client = client
        self._clock = clock
        self._slots = asyncio.Semaphore(MOST_IN_FLIGHT)
        #: Hosts that refused a batch.
        self._without_batches: set[str] = set()

    def __repr__(self) -> str:
        return f"<Endpoint {self.plan.name} {self._hosts!r} {self.guard!r}>"

    @property
    def independent_hosts(self) -> int:
        """How many hosts of different people there are; one where all are the same people's."""
        return max(1, len(self._hosts.available())) if self.plan.independent_hosts else 1

    async def call(self, call: Call, deadline: float, on_retry: OnRetry) -> Reply:
        """The answer of the first host that serves us. Raises ProviderError.

        `deadline` is on Clock.monotonic(). A host that blocks our address is left out from then
        on; only when all do is the provider blocked.
        """
        failed: ProviderError | None = None
        hosts = self._hosts.available()
        for others, url in zip(reversed(range(len(hosts))), hosts, strict=True):
            try:
                return await self._call_host(call, url, self._host_deadline(deadline, 1 + others))
            except ProviderError as error:
                self._judge_host(url, error)
                if not self._moves_on(error):
                    raise
                if others:
                    on_retry(error, "another_host")
                failed = error if failed is None or isinstance(failed, GeoBlocked) else failed
        if failed is None or isinstance(failed, GeoBlocked):
            raise GeoBlocked(
                "every host refuses our address",
                http_status=failed.http_status if failed else None,
                retry_after_s=self._hosts.wait_s(),
            )
        raise failed

    def blame(self, reply: Reply) -> None:
        """This answer was absurd: the next attempt begins with another host."""
        self._hosts.demote(reply.base_url)
        self._client.forget(reply.base_url)

    def _host_deadline(self, deadline: float, hosts_left: int) -> float:
        """Hosts of different people share the time evenly: one's silence is no other's."""
        if not self.plan.independent_hosts:
            return deadline
        now = self._clock.monotonic()
        return now + (deadline - now) / hosts_left

    def _moves_on(self, error: ProviderError) -> bool:
        has_failed = error.effect is not None
        return error.moves_host or (self.plan.independent_hosts and has_failed)

    def _judge_host(self, url: str, error: ProviderError) -> None:
        if isinstance(error, GeoBlocked):
            self._hosts.block(url, error.retry_after_s)
        elif error.effect is ProviderState.COOLDOWN or self._moves_on(error):
            self._hosts.demote(url)

    async def _call_host(self, call: Call, url: str, deadline: float) -> Reply:
        """One call in a slot of its own: waiting for the slot is our time, not the provider's."""
        left_s = deadline - self._clock.monotonic()
        if left_s <= 0:
            raise NoTimeLeft
        try:
            async with asyncio.timeout(left_s * LONGEST_QUEUEING):
                await self._slots.acquire()
        except TimeoutError:
            raise Busy(f"{MOST_IN_FLIGHT} calls are under way") from None
        try:
            return await self._call_whole(call, url, deadline)
        finally:
            self._slots.release()

    async def _call_whole(self, call: Call, url: str, deadline: float) -> Reply:
        """A batch at once, or where the host takes none its parts one by one."""
        if url not in self._without_batches or not call.parts:
            try:
                return await self._follow(call, url, deadline)
            except BatchRefused:
                if not call.parts:
                    raise
                self._without_batches.add(url)
        parts = [replace(call, json_body=part, parts=()) for part in call.parts]
        replies = [await self._follow(part, url, deadline) for part in parts]
        payload, size = [reply.payload for reply in replies], sum(reply.size for reply in replies)
        return replace(replies[-1], payload=payload, size=size)

    async def _follow(self, call: Call, url: str, deadline: float) -> Reply:
        """The call, and where the same host sends us on the next one, which counts as well."""
        for _ in range(1 + MOST_REDIRECTS):
            try:
                return await self._call_guarded(call, url, deadline)
            except Moved as moved:
                call = replace(call, moved_to=moved.location)
        raise MalformedResponse("it sends us in circles")

    async def _call_guarded(self, call: Call, url: str, deadline: float) -> Reply:
        permit = self._reserve(Cost(1, call.weight))
        was_sent, may_have_succeeded, left_s = False, True, 0.0
        try:
            if self._ledger:  # on disk before it leaves: whatever happens to us, it counts
                await self._ledger.save()
            left_s = deadline - self._clock.monotonic()
            if left_s <= 0:
                raise NoTimeLeft
            was_sent = True
            reply = await self._client.call(self._adapter, call, url, self._auth(), left_s)
            self.guard.observe(reply.headers)
            return reply
        except ProviderTimeout as error:
            if left_s < FAIR_TIME_S:  # too little for a verdict
                raise NoTimeLeft from error
            raise
        except ProviderError as error:
            if isinstance(error, RateLimited) and error.http_status == HTTP_TOO_MANY:
                self.guard.learn()
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

    def _auth(self) -> tuple[Auth, SecretStr] | None:
        if self.credential is None or self.plan.auth is None:
            return None
        return self.plan.auth, self.credential.key
