"""A client of Binance's streams, over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.api.stream.client import PATIENCE_S, Served

TRADE, BOOK = "btcusdt@trade", "btcusdt@bookTicker"
#: Spaces and numbers that no encoder would write like this.
PRICE = '{ "e":"trade", "E":1770123456789,"s":"BTCUSDT","p":"86000.10000000","x":1.0E+2 }'


def enveloped(stream: str, data: str = PRICE) -> str:
    return f'{{"stream":"{stream}","data":{data}}}'


class Client:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, method: str, *params: Any, **members: Any) -> dict[str, Any]:
        """Sends a command; returns the next message, which is the reply."""
        command = {"method": method, "params": list(params), "id": 1, **members}
        return await self.send({name: one for name, one in command.items() if one != ()})

    async def send(self, command: Any) -> dict[str, Any]:
        is_raw = isinstance(command, str | bytes)
        await self.connection.send(command if is_raw else json.dumps(command))
        reply: dict[str, Any] = json.loads(await self.text())
        return reply

    async def text(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            text = await self.connection.recv()
        assert isinstance(text, str)
        return text

    async def nothing(self, seconds: float = 0.3) -> None:
        """Fails if a message comes in that time."""
        try:
            async with asyncio.timeout(seconds):
                text = await self.connection.recv()
        except TimeoutError:
            return
        raise AssertionError(f"{text!r} came")

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the server's close frame; messages before it are skipped."""
        with suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    await self.connection.recv()
        received = self.connection.protocol.close_rcvd
        assert received is not None
        return received.code, received.reason


@asynccontextmanager
async def client(
    served: Served, path: str = "/binance/ws", **options: Any
) -> AsyncIterator[Client]:
    options = {"proxy": None, "compression": None, "max_size": 2**24, **options}
    async with connect(f"ws://127.0.0.1:{served.port}{path}", **options) as connection:
        yield Client(connection)
