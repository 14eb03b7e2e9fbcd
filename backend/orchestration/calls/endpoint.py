"""One plan of a provider in use: its hosts, limits and key. Every HTTP call passes here."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from pydantic import SecretStr

from backend.backoff import Backoff
from backend.clock import Clock
from backend.errors import (
    BatchRefused,
    Busy,
    GeoBlocked,
    MalformedResponse,
    Moved,
    NotAffordable,
    NoTimeLeft,
    NotRecorded,
    PathUnknown,
    ProviderError,
    ProviderTimeout,
    RateLimited,
)
from backend.models.status import ProviderState
from backend.orchestration.health.circuit_breaker import AUTH_DELAYS_S, GEO_DELAYS_S
from backend.orchestration.limits.cluster_guard import RETRY_S
from backend.orchestration.limits.ledger import Guard, Ledger
from backend.orchestration.limits.window import Cost, Priority, Refused
from backend.providers.adapter import Adapter, Call, Plan, Reply
from backend.providers.client import ProviderClient

#: The status after which a lower limit is learned. A 418 only follows such answers.
HTTP_TOO_MANY = 429
#: Concurrent calls of one endpoint.
MAX_IN_FLIGHT = 32
#: Largest share of a call's time that it spends queueing for one of these slots.
MAX_QUEUEING_SHARE = 1 / 3
#: Redirects followed in one call (same host only).
MAX_REDIRECTS = 2
#: A provider that got less time than this, in seconds, is not blamed for a time-out.
FAIR_TIME_S = 0.25
#: Called with the error and what is tried next, when a call failed and will be tried again.
OnRetry = Callable[[ProviderError, str], None]


class Hosts:
    """Equivalent base URLs, in the order of the next call. Blocked ones are left out."""

    def __init__(self, clock: Clock, base_urls: Sequence[str]) -> None:
        self._clock = clock
        self._order = list(base_urls)
        self._blocked_until: dict[str, float] = {}
        self._backoffs = {url: Backoff(clock, GEO_DELAYS_S) for url in base_urls}

    def __repr__(self) -> str:
        return f"<Hosts {len(self.available())} of {len(self._order)}>"

    def available(self) -> tuple[str, ...]:
        now = self._clock.monotonic()
        return tuple(url for url in self._order if self._blocked_until.get(url, 0.0) <= now)

    def block(self, url: str, retry_after_s: float | None) -> None:
        """The host refuses our IP address: for the wait that it names, else 30 min to 6 h."""
        if self._blocked_until.get(url, 0.0) > self._clock.monotonic():
            return  # concurrent calls are refused together: that is one refusal
        wait_s = self._backoffs[url].next_delay_s()
        self._backoffs[url].pause(wait_s)
        self._blocked_until[url] = self._clock.monotonic() + (retry_after_s or wait_s)

    def demote(self, url: str) -> None:
        """The host failed: the next call starts with another one."""
        self._order.remove(url)
        self._order.append(url)

    def wait_s(self) -> float:
        """Seconds until a host may be called again; 0 while one is available."""
        if self.available():
            return 0.0
        return min(self._blocked_until.values()) - self._clock.monotonic()


class Credential:
    """A key. After a refusal it is not used for 15 minutes, then 1 h, then 6 h."""

    def __init__(
        self,
        clock: Clock,
        key: SecretStr,
        *,
        refused_until: float = 0.0,
        on_refused: Callable[[float], None] = lambda _until: None,
    ) -> None:
        """`refused_until` (monotonic seconds) comes from an earlier run; `on_refused` receives
        each new one."""
        self._clock = clock
        self._backoff = Backoff(clock, AUTH_DELAYS_S)
        self._refused_until = refused_until
        self._on_refused = on_refused
        #: Revealed only where a request is built from it.
        self.key = key

    def __repr__(self) -> str:
        return f"<Credential {'usable' if self.is_usable() else 'refused'}>"

    def restore(self, refused_until: float) -> None:
        """Another process found that the provider refuses the key (monotonic seconds)."""
        self._refused_until = max(self._refused_until, refused_until)

    def is_usable(self) -> bool:
        return self._clock.monotonic() >= self._refused_until

    def refuse(self) -> None:
        """The provider rejected the key twice."""
        if not self.is_usable():
            return  # concurrent calls are rejected together: that is one refusal
        wait_s = self._backoff.next_delay_s()
        self._backoff.pause(wait_s)
        self._refused_until = self._clock.monotonic() + wait_s
        self._on_refused(self._refused_until)


@dataclass(eq=False)
class Endpoint:
    """Calls the hosts of one plan, in order, within the limits of its account."""

    adapter: Adapter
    plan: Plan
    hosts: Hosts
    guard: Guard
    credential: Credential | None
    client: ProviderClient
    clock: Clock
    ledger: Ledger | None = None

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        #: Hosts that refused a JSON-RPC batch.
        self._without_batches: set[str] = set()

    def __repr__(self) -> str:
        return f"<Endpoint {self.plan.name} {self.hosts!r} {self.guard!r}>"

    @property
    def independent_hosts(self) -> int:
        """Number of usable hosts with different operators; 1 where one operator runs them all."""
        return max(1, len(self.hosts.available())) if self.plan.independent_hosts else 1

    async def call(self, call: Call, deadline: float, on_retry: OnRetry) -> Reply:
        """Returns the first good reply of a host. Raises ProviderError.

        `deadline` is on Clock.monotonic(). A host that blocks our IP address is left out from then
        on; the provider is geo-blocked only when all its hosts are.
        """
        failed: ProviderError | None = None
        hosts = self.hosts.available()
        for others, url in zip(reversed(range(len(hosts))), hosts, strict=True):
            host_deadline = self._host_deadline(deadline, 1 + others)
            try:
                async with self._slot(host_deadline):
                    return await self._call_host(call, url, host_deadline)
            except ProviderError as error:
                has_failed = error.effect is not None
                moves_on = error.moves_host or (self.plan.independent_hosts and has_failed)
                if isinstance(error, GeoBlocked):
                    self.hosts.block(url, error.retry_after_s)
                elif has_failed and (error.effect is ProviderState.COOLDOWN or moves_on):
                    self.hosts.demote(url)
                if not moves_on:
                    raise
                if others:
                    on_retry(error, "another_host")
                failed = error if failed is None or isinstance(failed, GeoBlocked) else failed
        if failed is None or isinstance(failed, GeoBlocked):
            raise GeoBlocked(
                "all hosts block this IP address",
                http_status=failed.http_status if failed else None,
                retry_after_s=self.hosts.wait_s(),
            )
        raise failed

    def blame(self, reply: Reply) -> None:
        """The reply was malformed: the next call starts with another host."""
        self.hosts.demote(reply.base_url)
        self.client.forget(reply.base_url)

    def _host_deadline(self, deadline: float, hosts_left: int) -> float:
        """Independent hosts share the time evenly, so that a silent one leaves time for others."""
        if not self.plan.independent_hosts:
            return deadline
        now = self.clock.monotonic()
        return now + (deadline - now) / hosts_left

    @asynccontextmanager
    async def _slot(self, deadline: float) -> AsyncIterator[None]:
        """One of the concurrent calls. Time spent queueing is ours, not the provider's."""
        left_s = deadline - self.clock.monotonic()
        if left_s <= 0:
            raise NoTimeLeft
        try:
            async with asyncio.timeout(left_s * MAX_QUEUEING_SHARE):
                await self._slots.acquire()
        except TimeoutError:
            raise Busy(f"{MAX_IN_FLIGHT} calls are in flight") from None
        try:
            yield
        finally:
            self._slots.release()

    async def _call_host(self, call: Call, url: str, deadline: float) -> Reply:
        """Sends a batch at once, or its parts one by one where the host accepts no batches; the
        call's substitute where the host does not have the path."""
        if url not in self._without_batches or not call.parts:
            try:
                reply = await self._send(call, url, deadline)
                if not (call.parts and _is_single_answer(reply.payload)):
                    return reply
            except PathUnknown:
                if call.substitute is None:
                    raise
                return await self._send(call.substitute, url, deadline)
            except BatchRefused:
                if not call.parts:
                    raise
            self._without_batches.add(url)
        parts = [replace(call, json_body=part, parts=()) for part in call.parts]
        replies = [await self._send(part, url, deadline) for part in parts]
        payload, size = [reply.payload for reply in replies], sum(reply.size for reply in replies)
        return replace(replies[-1], payload=payload, size=size)

    async def _send(self, call: Call, url: str, deadline: float) -> Reply:
        """Sends a request and follows redirects; each of them counts against the limits."""
        for _ in range(1 + MAX_REDIRECTS):
            try:
                return await self._send_once(call, url, deadline)
            except Moved as moved:
                call = replace(call, moved_to=moved.location)
        raise MalformedResponse("redirect loop")

    async def _send_once(self, call: Call, url: str, deadline: float) -> Reply:
        """Reserves the request in all windows, sends it, and settles it whatever becomes of it."""
        is_passed = call.decode == "verbatim"
        priority = Priority.PASS_THROUGH if is_passed else Priority.SHARED
        permit = self.guard.try_acquire(Cost(1, call.weight), priority)
        if isinstance(permit, Refused):
            wait_s = permit.retry_at - self.clock.monotonic()
            raise NotAffordable(f"the limit per {permit.window} is used up", retry_after_s=wait_s)
        was_sent, may_have_succeeded, left_s = False, True, 0.0
        credential, auth = self.credential, self.plan.auth
        try:
            # Recorded before it is sent: it counts even if the process dies.
            if self.ledger and not await self.ledger.save():
                raise NotRecorded(retry_after_s=RETRY_S)
            left_s = deadline - self.clock.monotonic()
            if left_s <= 0:
                raise NoTimeLeft
            was_sent = True
            key = (auth, credential.key) if credential and auth else None
            reply = await self.client.call(self.adapter, call, url, key, left_s)
            self.guard.observe(reply.headers)
            return reply
        except ProviderTimeout as error:  # it was sent, and may have succeeded
            if left_s < FAIR_TIME_S:
                raise NoTimeLeft from error
            raise
        except ProviderError as error:
            if isinstance(error, RateLimited) and error.http_status == HTTP_TOO_MANY:
                self.guard.learn()
            was_sent = error.was_sent
            may_have_succeeded = error.http_status is None or error.http_status < 300
            raise
        finally:  # a cancelled call, too: the provider may have counted it
            self.guard.settle(permit, was_sent=was_sent, may_have_succeeded=may_have_succeeded)


def _is_single_answer(payload: object) -> bool:
    """A batch is answered by an array (JSON-RPC 2.0, section 6); some nodes answer its first call
    only, by an object."""
    return isinstance(payload, dict) and "result" in payload
