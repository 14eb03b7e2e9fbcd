"""Walks through the core: real manager, providers, guards and client over a scripted transport.

The stub vendor serves `PriceQuery` with `GET /price`; each provider has a host of its own, and
`Wire` answers for all hosts by script.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx
from pydantic import SecretStr

from backend.clock import Clock
from backend.errors import AuthFailed, PlanRestricted, QueryRefused
from backend.events import Event
from backend.models.answer import Query
from backend.models.status import ProviderState
from backend.orchestration.calls.endpoint import Credential, Endpoint, Hosts
from backend.orchestration.health.circuit_breaker import CircuitBreaker
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.provider import Provider
from backend.orchestration.provider_manager import ProviderManager
from backend.providers.adapter import (
    Adapter,
    Auth,
    Call,
    Context,
    Operation,
    Plan,
    ProviderSpec,
    Window,
)
from backend.providers.client import ProviderClient

Handler = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


@dataclass(frozen=True)
class PriceQuery(Query[float]):
    category: ClassVar[str] = "price"
    coin: str = "btc"
    is_series: bool = False

    @property
    def series(self) -> str | None:
        return self.coin if self.is_series else None


@dataclass(frozen=True)
class FixedQuery(PriceQuery):
    """A question without anything that a reader chose."""

    is_fixed: ClassVar[bool] = True


@dataclass(frozen=True)
class SeriesQuery(PriceQuery):
    """A question that a reader chose, and not one for all readers."""

    is_shared: ClassVar[bool] = False


def parse_price(_query: PriceQuery, payloads: Sequence[Any], _context: Context) -> float:
    price = float(payloads[-1]["price"])
    if not price > 0:
        raise ValueError("an absurd price")
    return price


def price_operation(name: str = "price", calls: int = 1, plans: tuple[str, ...] = ()) -> Operation:
    """An operation of `calls` requests, served under `plans` (all, if none are named)."""
    return Operation(
        name,
        PriceQuery,
        lambda query, _context: tuple(Call(f"/{name}/{query.coin}") for _ in range(calls)),
        parse_price,
        lambda _query, context: not plans or context.plan in plans,
    )


def stub_adapter(*operations: Operation) -> Adapter:
    return Adapter(
        "stub",
        operations or (price_operation(),),
        error_code=lambda payload: payload.get("code") if isinstance(payload, dict) else None,
        errors={
            (None, "bad_key"): AuthFailed,
            (None, "plan"): PlanRestricted,
            (None, "no_such_coin"): QueryRefused,
        },
    )


def price(value: float = 1.0) -> httpx.Response:
    return httpx.Response(200, json={"price": value})


def status(code: int, **headers: str) -> httpx.Response:
    return httpx.Response(code, json={}, headers=headers)


def error(http_status: int, code: str) -> httpx.Response:
    return httpx.Response(http_status, json={"code": code})


async def hang(_request: httpx.Request) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


def refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@dataclass
class Wire(httpx.AsyncBaseTransport):
    """Answers by host: a handler, or a list of answers of which the last one is repeated."""

    scripts: dict[str, Handler | list[Any]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    requests: list[httpx.Request] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host.removesuffix(".example")
        self.calls[host] += 1
        self.requests.append(request)
        script = self.scripts.get(host, lambda _request: price())
        if isinstance(script, list):
            script = script.pop(0) if len(script) > 1 else script[0]
        answer: Any = script(request) if callable(script) else script
        response: httpx.Response = await answer if isinstance(answer, Awaitable) else answer
        return response


@dataclass
class Walk:
    """A manager over stub providers `a`, `b`, `c` ..., and all that it emitted."""

    clock: Clock
    wire: Wire = field(default_factory=Wire)
    events: list[Event] = field(default_factory=list)
    providers: list[Provider] = field(default_factory=list)
    attempt_timeout_s: float = 3.0
    deadline_s: float = 4.0

    def __post_init__(self) -> None:
        self.client = ProviderClient(self.clock, self.wire)

    def add(
        self,
        name: str,
        *,
        adapter: Adapter | None = None,
        windows: tuple[Window, ...] = (),
        hosts: tuple[str, ...] = (),
        key: str | None = None,
        keyless: bool = True,
        independent_hosts: bool = False,
        state: ProviderState = ProviderState.ACTIVE,
        tier: int = 0,
    ) -> Provider:
        """A provider; with `key` it has a keyed plan, with `keyless` one without."""
        urls = tuple(f"https://{host}.example" for host in hosts or (name,))
        made = adapter or stub_adapter()
        keyed_plan = Plan("keyed", urls, windows, Auth("header", "x-key"))
        keyless_plan = Plan("keyless", urls, windows, independent_hosts=independent_hosts)
        spec = ProviderSpec(
            name,
            made,
            keyed_plan if key else None,
            keyless_plan if keyless else None,
            tiers={PriceQuery.category: tier},
        )
        provider = Provider(
            spec,
            keyed=self._endpoint(made, keyed_plan, key) if key else None,
            keyless=self._endpoint(made, keyless_plan, None) if keyless else None,
            breaker=CircuitBreaker(
                self.clock,
                cooldown_s=30,
                cooldown_max_s=300,
                lease_s=4,
                jitter=lambda: 1.0,
                state=state,
            ),
            clock=self.clock,
            emit=self.events.append,
        )
        self.providers.append(provider)
        return provider

    def manager(self) -> ProviderManager:
        return ProviderManager(
            self.providers,
            clock=self.clock,
            emit=self.events.append,
            deadline_s=self.deadline_s,
            attempt_timeout_s=self.attempt_timeout_s,
        )

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def _endpoint(self, adapter: Adapter, plan: Plan, key: str | None) -> Endpoint:
        return Endpoint(
            adapter,
            plan,
            hosts=Hosts(self.clock, plan.base_urls),
            guard=RateLimitGuard(self.clock, plan.windows),
            credential=Credential(self.clock, SecretStr(key)) if key else None,
            client=self.client,
            clock=self.clock,
        )
