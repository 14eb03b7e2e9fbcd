"""C3, C4: handshakes that are refused or left, and what comes behind an SSE stream."""

import asyncio

from tests.attacks.attack import Tally
from tests.attacks.connection import get, handshake, wire_to
from tests.attacks.ground import Field
from tests.attacks.measure import flood, metric
from tests.attacks.readers.scene import LOCKED, OPEN, is_empty

REFUSED = {
    "a body": handshake("/ws", "Content-Length: 5") + b"hello",
    "a chunked body": handshake("/ws", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n",
    "a header over 8 kB": handshake("/ws", "X-Long: " + "x" * 9_000),
    "over 128 headers": handshake("/ws", *(f"X-{n}: x" for n in range(140))),
    "an address over 8 kB": handshake("/ws?x=" + "y" * 9_000),
    "a POST": handshake("/ws").replace(b"GET", b"POST"),
    "no key": handshake("/ws").replace(b"Sec-WebSocket-Key", b"X-Key"),
    "another version": handshake("/ws").replace(b"Version: 13", b"Version: 8"),
    "HTTP/1.0": handshake("/ws").replace(b"HTTP/1.1", b"HTTP/1.0"),
}


@OPEN.attack(
    "C3",
    "handshakes with a body, in chunks, with headers or addresses over 8 kB, over 128 headers",
    loss="a handshake without an answer, without an end within 5 s, or that is not counted",
)
async def refused_handshakes(field: Field, tally: Tally) -> None:
    gateway = field.gateway
    before = await metric(gateway, "gateway_requests_total")
    for what, said in REFUSED.items():
        async with wire_to(gateway) as wire:
            await wire.say(said)
            told = await wire.everything(tally.times(5, 2))
        tally.tries += 1
        is_refused = told.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
        tally.expect(is_refused, f"{what}: {told[:60]!r}")
        tally.expect(wire.is_over, f"{what}: the connection stays")
    counted = await metric(gateway, "gateway_requests_total") - before
    tally.expect(counted >= len(REFUSED), f"{len(REFUSED)} handshakes, {counted:.0f} counted")


@LOCKED.attack(
    "C4", "`/ws` opened and left before the key", loss="a traceback, a place that is kept"
)
async def left_before_key(field: Field, tally: Tally) -> None:
    gateway = field.gateway
    for number in range(tally.times(40, 10)):
        async with wire_to(gateway) as wire:
            await wire.say(handshake("/ws"))
            if number % 3:
                await wire.some(3)
            if number % 2:
                await wire.say(b"\x88\x80\0\0\0\0")
        tally.tries += 1
    for kind in ("goodbyes", "odd goodbyes"):
        told = await flood(gateway, kind, 0.3)
        tally.tries += told["connections"]
    await asyncio.sleep(0.3)
    tally.expect(not await metric(gateway, "gateway_stream_clients"), "places are kept")


@OPEN.attack(
    "C4",
    "a second question, and a stray CRLF, behind an SSE stream",
    loss="a stream that is cut, a place that is kept for over 3 s after its reader left",
)
async def behind_sse(field: Field, tally: Tally) -> None:
    gateway = field.gateway
    question = get("/api/stream?channels=market,gas")
    for behind in (b"\r\n", b"\r\n\r\n", get("/api/gas"), get("/api/gas") * 50, b"\0")[
        : tally.times(5, 3)
    ]:
        is_crlf = not behind.strip()
        async with wire_to(gateway) as wire:
            await wire.say(question)
            await wire.until(b"event: ", 3)
            await wire.everything(0.2)
            await wire.say(behind)
            await wire.everything(0.5)
            tally.expect(not (is_crlf and wire.is_over), f"a stray {behind!r} cut the stream")
        tally.tries += 1
        if not await is_empty(gateway, 3):
            tally.losses.append(f"a place is kept behind {behind[:20]!r}")
            await is_empty(gateway, 30)
