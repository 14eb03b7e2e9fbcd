"""D3, D4: the limiter of clients, and whom it counts as one."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from statistics import median

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.edge.page_limits import FILES
from tests.api.stream.client import Reader
from tests.attacks.attack import Tally
from tests.attacks.connection import get, wire_to
from tests.attacks.cost.scene import ATTACKER, LIMIT, LIMITED, READERS, WINDOW_S, by
from tests.attacks.ground import Field
from tests.attacks.measure import holdings


@LIMITED.attack(
    "D3",
    "questions of 20,000 addresses that X-Forwarded-For tells of",
    loss="an answer that costs over twice as long as before, over 48 MB",
)
async def many_addresses(field: Field, tally: Tally) -> None:
    gateway = field.gateway
    before = holdings(gateway)
    before_ms = await typical_ms(field)
    count = tally.times(20, 2)
    async with wire_to(gateway) as wire:
        for block in range(count):
            said = b"".join(
                get("/api/gas", f"X-Forwarded-For: 10.{block}.{number // 250}.{number % 250}")
                for number in range(1_000)
            )
            wire.heard = b""
            await wire.say(said)
            async with asyncio.timeout(20):
                while wire.heard.count(b"HTTP/1.1 ") < 1_000 and not wire.is_over:
                    await wire.some(5)
            tally.tries += wire.heard.count(b"HTTP/1.1 200")
    after_ms = await typical_ms(field)
    grown_mb = holdings(gateway).memory_mb - before.memory_mb
    tally.note(
        f"{before_ms:.1f} ms an answer before, {after_ms:.1f} ms afterwards, {grown_mb:+.0f} MB"
    )
    tally.expect(tally.tries >= count * 990, f"{tally.tries} of {count * 1_000} were answered")
    tally.expect(after_ms <= 2 * before_ms + 2, f"{before_ms:.1f} ms became {after_ms:.1f} ms")
    tally.expect(grown_mb <= 48, f"{grown_mb:.0f} MB for addresses")


async def typical_ms(field: Field) -> float:
    waited = []
    for number in range(40):
        began = time.perf_counter()
        await field.gateway.client.get("/api/gas", headers=by(f"192.0.2.{number}"))
        waited.append((time.perf_counter() - began) * 1000)
    return median(waited)


@LIMITED.attack(
    "D3",
    "questions as fast as they go over three windows, with forged entries in X-Forwarded-For",
    loss="more than 30 answers of one address within a window of 2 s",
)
async def over_windows(field: Field, tally: Tally) -> None:
    passed: list[tuple[float, float]] = []
    made = random.Random(15)
    end = time.monotonic() + tally.times(70, 25) / 10
    while time.monotonic() < end:
        forged = f"{made.randrange(256)}.1.2.3, {ATTACKER}"
        asked = time.monotonic()
        answer = await field.gateway.client.get("/api/gas", headers=by(forged))
        tally.tries += 1
        if answer.status_code == 200:
            passed.append((asked, time.monotonic()))
        else:
            await asyncio.sleep(0.004)
    excess = [
        first
        for (first, _), (_, last) in zip(passed, passed[LIMIT:], strict=False)
        if last - first < WINDOW_S
    ]
    tally.note(f"{len(passed)} answers")
    tally.expect(not excess, f"{len(excess)} windows with more than {LIMIT} answers")
    tally.expect(len(passed) >= LIMIT, f"only {len(passed)} answers of {LIMIT} allowed at once")


FORMS = (
    "198.18.0.{n}",
    "::ffff:198.18.1.{n}",
    "198.18.2.{n}:5678",
    "[2001:db8:{n}::1]:443",
    '"[2001:db8:1{n}::1]"',
    "2001:db8:2{n}::1",
)


@LIMITED.attack(
    "D4",
    "`::ffff:1.2.3.4`, `1.2.3.4:5678`, `[2001:db8::1]:443` in X-Forwarded-For",
    loss="an address whose limit another one has spent, or one that has two limits",
)
async def forms_of_addresses(field: Field, tally: Tally) -> None:
    for form in FORMS:
        spent = form.format(n=1)
        await spend(field, spent)
        tally.tries += 1
        tally.expect(await status_of(field, spent) == 429, f"{spent} has no limit")
        for other in FORMS:
            text = other.format(n=2 + tally.tries)
            tally.expect(await status_of(field, text) == 200, f"{text} pays for {spent}")
    for one, same in (
        ("198.18.9.1", "::ffff:198.18.9.1"),
        ("198.18.9.2", "198.18.9.2:99"),
        ("2001:db8:90::1", "[2001:db8:90::2]:443"),
    ):
        await spend(field, one)
        tally.tries += 1
        tally.expect(await status_of(field, same) == 429, f"{same} is not {one}")


async def spend(
    field: Field,
    address: str,
    method: str = "GET",
    path: str = "/api/gas",
    times: int = LIMIT,
    **headers: str,
) -> None:
    """All that the limit gives this address."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    for _ in range(times // 10):
        asked = (
            field.gateway.client.request(method, path, headers={**by(address), **named})
            for _ in range(10)
        )
        await asyncio.gather(*asked)


async def status_of(field: Field, address: str, path: str = "/api/gas") -> int:
    return (await field.gateway.client.get(path, headers=by(address))).status_code


@LIMITED.attack(
    "D4",
    "preflights, refusals and nonsense in place of questions",
    loss="an address that may go on after thirty of them in two seconds",
)
async def uncounted(field: Field, tally: Tally) -> None:
    preflight = {"Origin": "https://a.example", "Access_Control_Request_Method": "GET"}
    kinds: Sequence[tuple[str, str, dict[str, str]]] = (
        ("OPTIONS", "/api/gas", preflight),
        ("GET", "/api/nothing", {}),
        ("GET", "/api/market?limit=9999", {}),
        ("POST", "/api/market", {}),
        ("GET", "/ws", {}),
        ("HEAD", "/api/gas", {}),
    )
    for place, (method, path, headers) in enumerate(kinds):
        address = f"198.18.20.{place}"
        await spend(field, address, method, path, LIMIT, **headers)
        tally.tries += LIMIT
        tally.expect(await status_of(field, address) == 429, f"{method} {path} costs nothing")
    address = "198.18.20.99"  # the files of the page have a limit of their own
    await spend(field, address, path="/", times=FILES.limit)
    tally.tries += FILES.limit
    tally.expect(await status_of(field, address, "/") == 429, "GET / costs nothing")


@LIMITED.attack(
    "C5",
    "the stream's places, taken by one address behind a proxy that is told of",
    loss="another address behind the same proxy that gets no place",
)
async def places_behind_proxy(field: Field, tally: Tally) -> None:
    address = f"ws://127.0.0.1:{field.gateway.port}/ws?channels=gas"
    async with AsyncExitStack() as stack:
        for _ in range(30):
            with suppress(InvalidStatus, ConnectionClosed):
                await stack.enter_async_context(
                    connect(address, proxy=None, additional_headers=by(ATTACKER))
                )
            tally.tries += 1
        async with connect(address, proxy=None, additional_headers=by(READERS)) as connection:
            await Reader(connection).next(op="data", type="snapshot")
