"""C: more connections, longer heads and more questions than anybody sends in earnest."""

import asyncio

from tests.attacks.attack import QUIET_MS, Tally
from tests.attacks.connection import get, handshake, wire_to
from tests.attacks.ground import Field
from tests.attacks.measure import holding, holdings, reader_of, until_back
from tests.attacks.readers.scene import LATE, OPEN

#: One connection may not hold up others for 250 ms; hundreds at once may, for a second at most.
SECOND_MS = 1_000.0
SLOW = "another reader who waits over a second, or gets no 200"


@OPEN.attack("C", "connections that come and go, with nothing said or half a line", loss=SLOW)
async def comers_and_goers(field: Field, tally: Tally) -> None:
    before = holdings(field.gateway)
    async with reader_of(field.gateway) as waits:
        for _ in range(tally.times(8, 1)):
            async with holding(field.gateway, 300, b"", b"GET /api/ma", handshake("/ws")) as held:
                tally.tries += held.held
    waits.judge(tally, SECOND_MS)
    await until_back(field.gateway, before, tally, within_s=5)


@OPEN.attack("C", "200 heads that come a byte at a time", loss=LATE)
async def slow_heads(field: Field, tally: Tally) -> None:
    said = b"GET /api/market HTTP/1.1\r\nHost: gateway.test\r\nX-Slow: "
    async with (
        reader_of(field.gateway) as waits,
        holding(field.gateway, 200, said, drip_s=0.1) as held,
    ):
        await asyncio.sleep(tally.times(4, 1))
    tally.tries += held.held
    waits.judge(tally, QUIET_MS)


@OPEN.attack("C", "1,000 questions at once over one connection", loss=LATE)
async def pipelines(field: Field, tally: Tally) -> None:
    gateway = field.gateway
    before = holdings(gateway)
    async with reader_of(gateway) as waits:
        for path in ("/api/gas", "/api/gas?x=1", "/")[: tally.times(3, 2)]:
            async with holding(gateway, 1, get(path) * 1_000):
                await asyncio.sleep(0.3)
            tally.tries += 1_000
    waits.judge(tally, QUIET_MS)
    await until_back(gateway, before, tally, within_s=5)


@OPEN.attack(
    "C",
    "200 connections at once, with five questions each that are refused",
    loss=SLOW,
)
async def crowds(field: Field, tally: Tally) -> None:
    async with (
        reader_of(field.gateway) as waits,
        holding(field.gateway, 200, get("/api/gas?x=1") * 5) as held,
    ):
        await asyncio.sleep(tally.times(10, 4) / 10)
    tally.tries += 5 * held.held
    waits.judge(tally, SECOND_MS)


@OPEN.attack("C", "addresses of 120 kB, 1,000 parameters, headers of 30 kB", loss=LATE)
async def large_questions(field: Field, tally: Tally) -> None:
    said = (
        get("/api/market?symbols=" + "A," * 60_000),
        get("/api/market?" + "&".join(f"a{n}=b" for n in range(1_000))),
        get("/api/market?symbols=" + "%F0%9F%9A%80" * 5_000),
        get("/api/market/" + "%2e%2e%2f" * 3_000),
        get("/api/market", "X-Long: " + "x" * 30_000),
        get(
            "/api/market",
            "Accept-Encoding: " + ",".join(f"x{n};q=0.{n % 10}" for n in range(3_000)),
        ),
        get("/api/market", "If-None-Match: " + ",".join(f'"{n}"' for n in range(5_000))),
    )
    async with reader_of(field.gateway) as waits:
        for text in said * tally.times(6, 1):
            async with wire_to(field.gateway) as wire:
                await wire.say(text)
                told = await wire.some(2)
            tally.tries += 1
            tally.expect(b" 500 " not in told[:20], f"500 for {text[:40]!r}")
    waits.judge(tally, QUIET_MS)
