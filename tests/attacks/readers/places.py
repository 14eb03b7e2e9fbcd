"""C5: the places, series and descriptors that one address can hold."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.api.stream.client import Reader
from tests.attacks.attack import QUIET_MS, Tally
from tests.attacks.connection import get, handshake
from tests.attacks.cost.scene import SHARED
from tests.attacks.ground import Field
from tests.attacks.measure import READER, holding, holdings, reader_of, until_back
from tests.attacks.readers.scene import OPEN, is_empty
from tests.life.process import Gateway


@asynccontextmanager
async def stream_of(
    gateway: Gateway, source: str, query: str = "?channels=gas"
) -> AsyncIterator[Reader]:
    """A reader of the stream at another address."""
    made = socket.create_connection(("127.0.0.1", gateway.port), 5, (source, 0))
    address = f"ws://127.0.0.1:{gateway.port}/ws{query}"
    async with connect(
        address, sock=made, proxy=None, max_size=2**24, close_timeout=0.2
    ) as connection:
        yield Reader(connection)


async def gets_a_place(gateway: Gateway, query: str = "?channels=gas") -> bool:
    try:
        async with asyncio.timeout(3), stream_of(gateway, READER, query) as reader:
            await reader.next(op="data", type="snapshot")
    except (ConnectionClosed, InvalidStatus, OSError, TimeoutError):
        return False
    return True


@SHARED.attack(
    "C5", "all places of the stream for one address", loss="another address that gets none"
)
async def all_places(field: Field, tally: Tally) -> None:
    gateway = field.gateway
    for said in (handshake("/ws?channels=gas"), get("/api/stream?channels=gas")):
        async with holding(gateway, 40, said) as held:
            await asyncio.sleep(0.5)
            tally.tries += held.held
            tally.expect(await gets_a_place(gateway), "another address got no place")
        await is_empty(gateway, 5)


@SHARED.attack(
    "C5", "all 200 series of candles for one address", loss="another address that gets none"
)
async def all_series(field: Field, tally: Tally) -> None:
    gateway = field.gateway
    async with AsyncExitStack() as stack:
        for number in range(7):
            reader = await stack.enter_async_context(stream_of(gateway, "127.0.0.3", ""))
            interval = ("1m", "5m", "1h", "4h", "1d")[number % 5]
            for first in range(30 * (number // 5), 30 * (number // 5) + 30, 10):
                coins = [f"C{place}" for place in range(first, first + 10)]
                said = {"channel": "ohlc", "symbols": coins, "interval": interval}
                with suppress(ConnectionClosed):
                    await reader.say(op="subscribe", id=first, **said)
                    await reader.next(id=first)
                tally.tries += 10
        query = "?channels=ohlc&symbols=ETH&interval=1d"
        tally.expect(await gets_a_place(gateway, query), "another address got no series")


@OPEN.attack(
    "C5",
    "2,100 connections of one address that say nothing",
    loss="another reader who waits over 250 ms or is not let in; descriptors that do not come back",
)
async def all_descriptors(field: Field, tally: Tally) -> None:
    gateway = field.gateway
    before = holdings(gateway)
    async with reader_of(gateway) as waits, holding(gateway, 2_100) as held:
        await asyncio.sleep(tally.times(3, 1))
    tally.tries += held.held
    tally.note(f"{held.closed + held.refused} of them closed or refused")
    waits.judge(tally, QUIET_MS)
    await until_back(gateway, before, tally, within_s=5)
