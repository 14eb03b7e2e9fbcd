"""Answers a query at one provider: selects the key and the operation, calls, and parses."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from backend.bounded_map import BoundedMap
from backend.clock import Clock
from backend.errors import (
    AuthFailed,
    MalformedResponse,
    NotAffordable,
    PlanRestricted,
    ProviderError,
)
from backend.models.answer import Query, T
from backend.orchestration.calls.endpoint import Endpoint, OnRetry
from backend.orchestration.limits.window import Cost
from backend.providers.adapter import Call, Context, Operation, Plan, ProviderSpec, Reply
from backend.providers.client import parsed

R = TypeVar("R")

#: An operation that a plan does not include is not tried again for a day, in seconds.
PLAN_RESTRICTION_S, MAX_RESTRICTIONS = 86_400.0, 64
#: Payloads larger than this are parsed in a thread: parsing as many bytes takes about 1 ms.
PARSE_IN_THREAD_BYTES = 32 * 1024
#: Parsing may end this long after the deadline of the calls, in seconds.
PARSE_S = 0.5


@dataclass(frozen=True, slots=True)
class PlannedCalls(Generic[T]):
    """The calls that answer `query`: by which operation, over which endpoint."""

    query: Query[T]
    endpoint: Endpoint
    operation: Operation
    tier: int
    calls: tuple[Call, ...]

    @property
    def cost(self) -> Cost:
        return Cost(len(self.calls), sum(call.weight for call in self.calls))


@dataclass(eq=False)
class Executor:
    """Plans the calls for a query, and executes them. It knows nothing of health.

    `keyed` and `keyless` are the same vendor with and without a key. The keyless endpoint is used
    while the key is refused. A provider that is switched off has neither.
    """

    spec: ProviderSpec
    keyed: Endpoint | None
    keyless: Endpoint | None
    clock: Clock
    on_retry: OnRetry

    def __post_init__(self) -> None:
        #: Plans and the operations that they do not include.
        self._restricted = BoundedMap[tuple[str, str], bool](
            MAX_RESTRICTIONS, ttl_s=PLAN_RESTRICTION_S, timer=self.clock.monotonic
        )

    def __repr__(self) -> str:
        return f"<Executor {self.keyed!r} {self.keyless!r}>"

    def endpoint(self) -> Endpoint:
        """The endpoint in use: the keyed one unless its key is refused and another exists."""
        usable = self.keyed if not self.key_is_refused() else self.keyless
        endpoint = usable or self.keyless or self.keyed
        assert endpoint is not None, "a provider with no endpoint is off"
        return endpoint

    def key_is_refused(self) -> bool:
        credential = self.keyed.credential if self.keyed else None
        return credential is not None and not credential.is_usable()

    def plan(self, query: Query[T], endpoint: Endpoint | None = None) -> PlannedCalls[T] | None:
        """The calls over `endpoint` (default: the one in use); None where no operation of its plan
        can answer."""
        endpoint = endpoint or self.endpoint()
        context = self._context(endpoint.plan)
        for operation in self.spec.adapter.operations_for(query):
            is_restricted = (endpoint.plan.name, operation.name) in self._restricted
            if operation.serves(query, context) and not is_restricted:
                tier, calls = self.spec.tier(query, operation), operation.build(query, context)
                return PlannedCalls(query, endpoint, operation, tier, calls)
        return None

    async def execute(self, planned: PlannedCalls[T] | None, query: Query[T], deadline: float) -> T:
        """Executes `planned`, the plan for `query`. A key that is refused twice is not used again
        for a while; then the keyless endpoint answers, if there is one.

        `deadline` is on Clock.monotonic(). Raises ProviderError.
        """
        try:
            return await self._attempt(planned, deadline)
        except AuthFailed as error:
            # A single 401 may be a hiccup: only a second one condemns the key.
            self.on_retry(error, "once_more")
            refusal = error
        # Meanwhile a concurrent attempt may have condemned the key.
        endpoint = self.endpoint()
        try:
            return await self._attempt(self.plan(query, endpoint), deadline)
        except (AuthFailed, NotAffordable):  # no second call is affordable: believe the first
            if endpoint.credential is None or self.keyless is None:
                raise refusal from None
        endpoint.credential.refuse()
        self.on_retry(refusal, "no_key")
        return await self._attempt(self.plan(query, self.keyless), deadline)

    async def _attempt(self, planned: PlannedCalls[T] | None, deadline: float) -> T:
        """Executes calls over one endpoint. Plans anew where its plan excludes an operation; asks
        the next independent host where a reply cannot be true."""
        error: ProviderError = PlanRestricted("the plan has no operation that answers this")
        hosts_left = planned.endpoint.independent_hosts - 1 if planned else 0
        while planned:
            endpoint, (first, *others) = planned.endpoint, planned.calls
            try:
                # The first reply shows whether the others, which run together, are worth it.
                replies = [await endpoint.call(first, deadline, self.on_retry)]
                replies += await gather_or_cancel(
                    endpoint.call(call, deadline, self.on_retry) for call in others
                )
                return await self._parse(planned, replies, deadline)
            except PlanRestricted as restricted:
                error = restricted
                self._restricted.set((endpoint.plan.name, planned.operation.name), True)
                planned = self.plan(planned.query, endpoint)
                hosts_left = endpoint.independent_hosts - 1
            except MalformedResponse as malformed:
                if hosts_left <= 0 or self.clock.monotonic() >= deadline:
                    raise
                self.on_retry(malformed, "another_host")
                hosts_left -= 1
        raise error

    async def _parse(
        self, planned: PlannedCalls[T], replies: Sequence[Reply], deadline: float
    ) -> T:
        """Raises MalformedResponse, and blames the host, where the replies cannot be true."""
        endpoint, operation = planned.endpoint, planned.operation
        payloads = [reply.payload for reply in replies]
        context = self._context(endpoint.plan, replies[0].base_url)
        parse: Callable[[], T] = partial(parsed, operation.parse, planned.query, payloads, context)
        is_large = sum(reply.size for reply in replies) > PARSE_IN_THREAD_BYTES
        try:
            if not (is_large or operation.parse_in_thread):
                return parse()
            async with asyncio.timeout(max(0.0, deadline - self.clock.monotonic()) + PARSE_S):
                return await asyncio.to_thread(parse)
        except MalformedResponse:
            endpoint.blame(replies[-1])
            raise
        except TimeoutError:
            endpoint.blame(replies[-1])
            raise MalformedResponse("parsing the reply took too long") from None

    def _context(self, plan: Plan, base_url: str = "") -> Context:
        now_ms = int(self.clock.now().timestamp() * 1000)
        return Context(self.spec.name, plan.name, now_ms, base_url)


async def gather_or_cancel(work: Iterable[Coroutine[Any, Any, R]]) -> list[R]:
    """When one fails, or the caller is cancelled, the others end before this raises."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
