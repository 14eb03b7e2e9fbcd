"""Days of bad weather in virtual time: each provider has any fault at any moment.

The real cache, manager, breakers, guards and client, over three providers that count our calls
their own way. A price is the instant at which its provider told it, so each answer's age is known.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import httpx

from backend.cache.cached_source import CachedSource
from backend.cache.freshness import Freshness, constant
from backend.cache.ttl_cache import TTLCache
from backend.errors import GatewayError
from backend.models.answer import Answer
from backend.providers.adapter import Window
from tests.clocks import LoopClock
from tests.simulation.oracles import DAY_S, Fixed, Limit, Sliding
from tests.walk import PriceQuery, Walk, hang, price, refuse, status

TTL_S, MAX_STALE_S = 60.0, 6 * 3_600.0
READ_EVERY_S = 300.0
#: Between two troubles of a provider on the average, and how long one lasts at most.
CALM_S, LONGEST_S = 5 * 3_600.0, 3 * 3_600.0
#: Of the calls in calm hours, a share that fails all the same; of the readers, one that are many.
HICCUPS, CROWDS, CROWD = 0.02, 0.02, 20
TEN_DAYS_S = 864_000

Fault = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


def broken(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("reset", request=request)


async def slow(_request: httpx.Request) -> httpx.Response:
    await asyncio.sleep(2.5)
    return httpx.Response(502, json={})


def body(content: bytes, media: str = "application/json") -> Fault:
    return lambda _request: httpx.Response(200, content=content, headers={"Content-Type": media})


def told(code: int, wait_s: float | None = None) -> Fault:
    headers = {} if wait_s is None else {"Retry-After": str(int(wait_s))}
    return lambda _request: status(code, **headers)


def elsewhere(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(302, headers={"Location": "https://elsewhere.example/price"})


#: Nothing arrives, so nothing is counted.
UNHEARD = "refuses TCP"
#: All that the fault table has for one provider, and for how long it then asks for peace.
FAULTS: dict[str, tuple[Fault, float]] = {
    UNHEARD: (refuse, 0),
    "accepts and never answers": (hang, 0),
    "slow, then 502": (slow, 0),
    "reset": (broken, 0),
    "500": (told(500), 0),
    "503 with Retry-After 120": (told(503, 120), 120),
    "429 with Retry-After 30": (told(429, 30), 30),
    "429 without Retry-After": (told(429), 0),
    "429 with Retry-After 0": (told(429, 0), 0),
    "429 with ten days": (told(429, TEN_DAYS_S), TEN_DAYS_S),
    "418": (told(418, 120), 120),
    "401": (told(401), 0),
    "403 WAF": (told(403), 0),
    "451": (told(451), 0),
    "HTML in a 200": (body(b"<!doctype html><p>Just a moment", "text/html"), 0),
    "truncated JSON": (body(b'{"price": 1'), 0),
    "NaN": (body(b'{"price": NaN}'), 0),
    "price 0": (body(b'{"price": 0}'), 0),
    "negative": (body(b'{"price": -5}'), 0),
    "renamed fields": (body(b'{"prices": 5}'), 0),
    "400 MB body": (body(b" " * 5_000_000), 0),
    "redirect to another host": (elsewhere, 0),
}
#: Once in so many troubles: each would be a third of the month.
RARE, RARELY = "429 with ten days", 0.002


@dataclass
class Weather:
    """One provider: within its limits and its hours it answers. `overruns` and `too_early` (calls
    before a time that it had told) are what must never be."""

    limits: tuple[Limit, ...]
    clock: LoopClock
    chance: random.Random
    calls: int = 0
    met: set[str] = field(default_factory=set)
    overruns: list[float] = field(default_factory=list)
    too_early: list[float] = field(default_factory=list)
    _fault: str = "500"
    _begins: float = 3_600.0
    _ends: float = 3_600.0
    _share: float = 1.0
    _peace: tuple[float, float] = (0.0, 0.0)

    def __call__(self, request: httpx.Request) -> httpx.Response | Awaitable[httpx.Response]:
        now = self.clock.monotonic()
        name = self._trouble(now)
        if name != UNHEARD:
            self._count(now)
        if name is None:
            return price(now)
        self.met.add(name)
        fault, wait_s = FAULTS[name]
        self._peace = (now, now + wait_s)
        return fault(request)

    def _count(self, now: float) -> None:
        self.calls += 1
        allowed = [limit.allows(now) for limit in self.limits]  # each of them counts it
        if not all(allowed):
            self.overruns.append(now)
        since, until = self._peace
        if since < now < until - 1:
            self.too_early.append(now)

    def _trouble(self, now: float) -> str | None:
        if now < 3_600:
            return None
        if now >= self._ends:
            self._begins = now + self.chance.expovariate(1 / CALM_S)
            self._ends = self._begins + self.chance.uniform(60, LONGEST_S)
            self._fault, self._share = self._any(), self.chance.choice((0.3, 1.0))
        if self._begins <= now:
            return self._fault if self.chance.random() < self._share else None
        return self._any() if self.chance.random() < HICCUPS else None

    def _any(self) -> str:
        if self.chance.random() < RARELY:
            return RARE
        return self.chance.choice([name for name in FAULTS if name != RARE])


@dataclass
class Storm:
    """What readers got in these days."""

    weather: dict[str, Weather] = field(default_factory=dict)
    reads: int = 0
    fresh: int = 0
    stale: int = 0
    #: Answers that were older than they said.
    unflagged: list[float] = field(default_factory=list)
    too_old: list[float] = field(default_factory=list)

    @property
    def share_answered(self) -> float:
        return (self.fresh + self.stale) / self.reads


async def storm_of(days: float, seed: int) -> Storm:
    """In the loop's own time, so that time-outs cost what they cost."""
    clock, chance, storm = LoopClock(), random.Random(seed), Storm()
    walk = Walk(clock)
    for name, windows, limits in (
        ("a", (Window(2, 60),), (Sliding(2, 60),)),
        ("b", (Window(10, 60), Window(10, 3_600)), (Sliding(10, 60), Sliding(10, 3_600))),
        ("c", (Window(5, 60), Window(80, DAY_S)), (Sliding(5, 60), Fixed(80, DAY_S))),
    ):
        weather = Weather(limits, clock, random.Random(f"{seed}{name}"))
        storm.weather[name] = walk.wire.scripts[name] = weather
        walk.add(name, windows=windows)
    source = CachedSource[PriceQuery, float](
        walk.manager(),
        TTLCache[Answer[float]](clock, 1_000),
        clock=clock,
        emit=lambda _event: None,
        freshness=partial(constant, Freshness(TTL_S, MAX_STALE_S)),
        deadline_s=walk.deadline_s,
    )
    while clock.monotonic() < days * DAY_S:
        await asyncio.sleep(chance.expovariate(1 / READ_EVERY_S))
        query = PriceQuery(f"coin-{chance.randrange(3)}")
        readers = CROWD if chance.random() < CROWDS else 1
        await asyncio.gather(*(read(source, query, storm, clock) for _ in range(readers)))
    await source.aclose()
    return storm


async def read(
    source: CachedSource[PriceQuery, float], query: PriceQuery, storm: Storm, clock: LoopClock
) -> None:
    storm.reads += 1
    try:
        answer = await source.fetch(query)
    except GatewayError:
        return
    age_s = clock.monotonic() - answer.data
    storm.stale += answer.stale
    storm.fresh += not answer.stale
    if age_s > MAX_STALE_S + 10:
        storm.too_old.append(age_s)
    if not answer.stale and age_s > 2 * TTL_S + 10:
        storm.unflagged.append(age_s)
