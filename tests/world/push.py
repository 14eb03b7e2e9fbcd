"""A loopback imitation of Binance's market-data stream, with its limits and its bad days."""

import asyncio
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

COMMANDS_PER_S = 5


@dataclass(eq=False)
class Session:
    """One connection: what it asked for, and what it said."""

    connection: ServerConnection
    streams: list[str] = field(default_factory=list)
    commands: list[dict[str, Any]] = field(default_factory=list)
    heard_at: list[float] = field(default_factory=list)


class PushWorld:
    """Tells what a test gives it to tell; refuses handshakes with `status` while that is set."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.paths: list[str] = []
        self.status: int | None = None
        self.is_deaf = False
        self.overruns: list[str] = []
        self._server: Server | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}"

    @property
    def open(self) -> list[Session]:
        return [one for one in self.sessions if one.connection.close_code is None]

    async def start(self) -> None:
        self._server = await serve(
            self._serve, "127.0.0.1", self._port, process_request=self._refuse, compression=None
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def tell(self, frame: Any, stream: str | None = None) -> None:
        """To every session, or to those that asked for `stream`. Text goes out as it stands."""
        text = frame if isinstance(frame, str) else json.dumps(frame)
        for session in self.open:
            if stream is None or stream in session.streams:
                await session.connection.send(text)

    async def tell_tickers(self, rows: Iterable[dict[str, Any]]) -> None:
        name = "!miniTicker@arr"
        await self.tell({"stream": name, "data": list(rows)}, name)

    async def tell_candle(self, row: dict[str, Any]) -> None:
        name = f"{row['s'].lower()}@kline_{row['k']['i']}"
        await self.tell({"stream": name, "data": row}, name)

    async def say_goodbye(self) -> None:
        notice = {"e": "serverShutdown", "E": now_ms()}
        await self.tell({"stream": "!serverShutdown", "data": notice})

    async def until_open(self, count: int = 1) -> None:
        async with asyncio.timeout(10):
            while len(self.open) < count:
                await asyncio.sleep(0.01)

    async def until_asked(self, stream: str) -> None:
        async with asyncio.timeout(10):
            while not any(stream in session.streams for session in self.open):
                await asyncio.sleep(0.01)

    async def until_closed(self) -> None:
        async with asyncio.timeout(10):
            while self.open:
                await asyncio.sleep(0.01)

    def _refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        self.paths.append(request.path)
        if self.status is None:
            return None
        return connection.respond(self.status, "no")

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        url = urlsplit(connection.request.path)
        assert url.path == "/stream"
        asked = parse_qs(url.query).get("streams", [""])[0]
        session = Session(connection, [name for name in asked.split("/") if name])
        self.sessions.append(session)
        try:
            async for text in connection:
                if not self.is_deaf:
                    await self._command(session, json.loads(text))
        except ConnectionClosed:
            pass

    async def _command(self, session: Session, command: dict[str, Any]) -> None:
        now = time.monotonic()
        session.heard_at.append(now)
        if len([at for at in session.heard_at if now - at < 1.0]) > COMMANDS_PER_S:
            self.overruns.append(str(command))
        session.commands.append(command)
        names = command.get("params", [])
        if command["method"] == "SUBSCRIBE":
            session.streams += [name for name in names if name not in session.streams]
        elif command["method"] == "UNSUBSCRIBE":
            session.streams = [one for one in session.streams if one not in names]
        result = session.streams if command["method"] == "LIST_SUBSCRIPTIONS" else None
        await session.connection.send(json.dumps({"result": result, "id": command["id"]}))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def mini_ticker(symbol: str, price: float, **changes: Any) -> dict[str, Any]:
    row = {
        "e": "24hrMiniTicker",
        "E": now_ms(),
        "s": symbol,
        "c": f"{price:.8f}",
        "o": f"{price / 1.02:.8f}",
        "h": f"{price * 1.03:.8f}",
        "l": f"{price * 0.96:.8f}",
        "v": "1000.00000000",
        "q": f"{price * 1000:.8f}",
    }
    return row | changes


def candle_told(
    pair: str, interval: str, open_ms: int, price: float, *, closed: bool = False
) -> dict[str, Any]:
    body = {
        "t": open_ms,
        "T": open_ms + 1,
        "s": pair,
        "i": interval,
        "o": f"{price:.8f}",
        "c": f"{price:.8f}",
        "h": f"{price * 1.01:.8f}",
        "l": f"{price * 0.99:.8f}",
        "v": "13.00000000",
        "n": 50,
        "x": closed,
        "q": f"{price * 13:.8f}",
    }
    return {"e": "kline", "E": now_ms(), "s": pair, "k": body}
