"""C2: answers that nobody reads, and readers who leave."""

import asyncio

from tests.attacks.attack import QUIET_MS, Tally
from tests.attacks.connection import get, handshake
from tests.attacks.ground import Field
from tests.attacks.measure import holding, holdings, kernel_mb, metric, reader_of, until_back
from tests.attacks.readers.scene import LATE, OPEN


@OPEN.attack(
    "C2",
    "1,500 answers of 120 kB that one address asks for and does not read",
    loss=f"over 64 MB for them; {LATE}; memory or descriptors that do not come back",
)
async def unread_answers(field: Field, tally: Tally) -> None:
    gateway = field.gateway
    before = holdings(gateway)
    kernel_before_mb = kernel_mb()
    said = get("/api/market/ohlc?symbol=BTC&interval=1m&limit=1000") * 30
    async with (
        reader_of(gateway) as waits,
        holding(gateway, 50, said) as held,
    ):
        await asyncio.sleep(tally.times(3, 1))
        most, of_kernel_mb = holdings(gateway), kernel_mb() - kernel_before_mb
    tally.tries += held.held * 30
    waits.judge(tally, QUIET_MS)
    grown_mb = most.memory_mb - before.memory_mb
    tally.note(
        f"{grown_mb:+.0f} MB and {of_kernel_mb:+.0f} MB of the kernel's meanwhile, "
        f"{held.closed} of {held.held} connections closed"
    )
    most_mb = grown_mb + max(0.0, of_kernel_mb)
    tally.expect(most_mb <= 64, f"{most_mb:.0f} MB for answers that nobody reads")
    await until_back(gateway, before, tally, within_s=5)


@OPEN.attack(
    "C2",
    "readers who leave in the middle of an answer",
    loss="a traceback; memory or descriptors that do not come back",
)
async def leavers(field: Field, tally: Tally) -> None:
    before = holdings(field.gateway)
    for _ in range(tally.times(6, 2)):
        async with holding(field.gateway, 20, get("/api/market?limit=250") * 3) as held:
            tally.tries += held.held
    await until_back(field.gateway, before, tally, within_s=5)


@OPEN.attack(
    "C2",
    "readers by SSE and WebSocket who never read",
    loss="another reader who waits over 250 ms; memory or descriptors that do not come back",
)
async def deaf_readers(field: Field, tally: Tally) -> None:
    gateway = field.gateway
    before = holdings(gateway)
    said = (
        get("/api/stream?channels=market,news,status"),
        handshake("/ws?channels=market,news,status"),
    )
    async with reader_of(gateway) as waits, holding(gateway, 60, *said) as held:
        await asyncio.sleep(tally.times(4, 1))
    tally.tries += held.held
    waits.judge(tally, QUIET_MS)
    await until_back(gateway, before, tally, within_s=6)
    tally.expect(not await metric(gateway, "gateway_stream_clients"), "places are kept")
