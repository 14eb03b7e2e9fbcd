"""How a provider is reached: the plan in force, what it can do, and its key's life."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from backend.clock import Clock
from backend.errors import (
    AuthFailed,
    MalformedResponse,
    NotAffordable,
    PlanRestricted,
    ProviderError,
)
from backend.models.answer import Query
from backend.orchestration.calls.endpoint import Endpoint, OnRetry
from backend.orchestration.calls.gather import gather_or_cancel
from backend.orchestration.expiring_set import ExpiringSet
from backend.providers.adapter import Context, Operation, Plan, ProviderSpec
from backend.providers.client import parsed

T = TypeVar("T")

#: An operation that a plan refused is asked again after a day.
PLAN_RESTRICTION_S = 86_400.0
#: Payloads of more bytes are parsed in a thread: it takes a millisecond for about as many.
PARSE_IN_THREAD_BYTES = 32 * 1024
#: Parsing may take so long beyond the deadline that the calls had, in seconds.
PARSE_S = 0.5


class Access:
    """Answers a query over the plan in force. Knows nothing of health.

    `keyed` and `keyless` are the same vendor with and without a key: the second stands in when
    the first one's key is refused. A provider that is off has neither.
    """

    def __init__(
        self,
        spec: ProviderSpec,
        *,
        keyed: Endpoint | None,
        keyless: Endpoint | None,
        clock: Clock,
        on_retry: OnRetry,
    ) -> None:
        self._spec = spec
        self._keyed = keyed
        self._keyless = keyless
        self._clock = clock
        self._on_retry = on_retry
        self._restricted = ExpiringSet(clock)

    def __repr__(self) -> str:
        return f"<Access {self._keyed!r} {self._keyless!r}>"

    def endpoint(self) -> Endpoint:
        """The keyed one while its key is good, else what there is."""
        usable = self._keyed if not self.key_is_refused() else self._keyless
        endpoint = usable or self._keyless or self._keyed
        assert endpoint is not None, "a provider with no endpoint is off"
        return endpoint

    def key_is_refused(self) -> bool:
        credential = self._keyed.credential if self._keyed else None
        return credential is not None and not credential.is_usable()

    def operation(self, query: Query[Any], plan: Plan) -> tuple[Operation, int] | None:
        """The first operation that can serve `query` under `plan`, with its tier."""
        context = self.context(plan)
        for operation in self._spec.adapter.operations_for(query):
            is_restricted = (plan.name, operation.name) in self._restricted
            if operation.serves(query, context) and not is_restricted:
                return operation, self._spec.tier(query, operation)
        return None

    def context(self, plan: Plan, base_url: str = "") -> Context:
        now_ms = int(self._clock.now().timestamp() * 1000)
        return Context(self._spec.name, plan.name, now_ms, base_url)

    async def answer(self, query: Query[T], deadline: float) -> T:
        """Under the plan in force; a key that is refused twice gives way to none.

        `deadline` is on Clock.monotonic(). Raises ProviderError.
        """
        try:
            return await self._answer_from(self.endpoint(), query, deadline)
        except AuthFailed as error:
            # A single 401 may be a hiccup; only its repetition condemns a key.
            self._on_retry(error, "once_more")
            refusal = error
        # Meanwhile another attempt may have condemned it: then there is nothing to confirm.
        endpoint = self.endpoint()
        try:
            return await self._answer_from(endpoint, query, deadline)
        except (AuthFailed, NotAffordable):  # where no second call is to be had, believe the first
            if endpoint.credential is None or self._keyless is None:
                raise refusal from None
        endpoint.credential.refuse()
        self._on_retry(refusal, "no_key")
        return await self._answer_from(self._keyless, query, deadline)

    async def _answer_from(self, endpoint: Endpoint, query: Query[T], deadline: float) -> T:
        """By the first operation that the plan really includes."""
        refused: ProviderError = PlanRestricted("the plan has no operation for this")
        while found := self.operation(query, endpoint.plan):
            try:
                return await self._perform(found[0], endpoint, query, deadline)
            except PlanRestricted as error:
                self._restricted.add((endpoint.plan.name, found[0].name), PLAN_RESTRICTION_S)
                refused = error
        raise refused

    async def _perform(
        self, operation: Operation, endpoint: Endpoint, query: Query[T], deadline: float
    ) -> T:
        """Of independent hosts the next one is asked where an answer cannot be true."""
        others = endpoint.independent_hosts - 1
        while True:
            try:
                return await self._perform_once(operation, endpoint, query, deadline)
            except MalformedResponse as error:
                if others <= 0 or self._clock.monotonic() >= deadline:
                    raise
                self._on_retry(error, "another_host")
                others -= 1

    async def _perform_once(
        self, operation: Operation, endpoint: Endpoint, query: Query[T], deadline: float
    ) -> T:
        first, *rest = operation.build(query, self.context(endpoint.plan))
        # The first one tells whether the others are worth their price; they go out together.
        replies = [await endpoint.call(first, deadline, self._on_retry)]
        replies += await gather_or_cancel(
            endpoint.call(call, deadline, self._on_retry) for call in rest
        )
        payloads = [reply.payload for reply in replies]
        context = self.context(endpoint.plan, replies[0].base_url)
        parse: Callable[[], T] = partial(parsed, operation.parse, query, payloads, context)
        is_large = sum(reply.size for reply in replies) > PARSE_IN_THREAD_BYTES
        try:
            if not (is_large or operation.parse_in_thread):
                return parse()
            async with asyncio.timeout(max(0.0, deadline - self._clock.monotonic()) + PARSE_S):
                return await asyncio.to_thread(parse)
        except (MalformedResponse, TimeoutError) as error:
            endpoint.blame(replies[-1])
            if isinstance(error, MalformedResponse):
                raise
            raise MalformedResponse("parsing the answer took too long") from None
