"""A loopback imitation of Kraken's market-data stream (WebSocket v2)."""

import json
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.world.push import PushWorld, Session

STATUS = {
    "channel": "status",
    "type": "update",
    "data": [{"version": "2.0.10", "system": "online", "api_version": "v2", "connection_id": 7}],
}
HEARTBEAT = {"channel": "heartbeat"}


class KrakenPushWorld(PushWorld):
    """Greets with its status, answers each symbol of a command for itself, and tells what a test
    gives it to tell. A session's `streams` are like `ticker BTC/USD` and `ohlc 60 BTC/USD`."""

    def __init__(self) -> None:
        super().__init__()
        self.listed = {"BTC/USD", "ETH/USD", "LUNA/USD"}

    async def tell_ticker(self, row: dict[str, Any]) -> None:
        frame = {"channel": "ticker", "type": "update", "data": [row]}
        await self.tell(frame, f"ticker {row['symbol']}")

    async def tell_ohlc(self, row: dict[str, Any]) -> None:
        now = iso(datetime.now(UTC))
        frame = {"channel": "ohlc", "type": "update", "timestamp": now, "data": [row]}
        await self.tell(frame, f"ohlc {row['interval']} {row['symbol']}")

    async def _serve(self, connection: ServerConnection) -> None:
        session = Session(connection)
        self.sessions.append(session)
        try:
            await connection.send(json.dumps(STATUS))
            async for text in connection:
                if not self.is_deaf:
                    await self._command(session, json.loads(text))
        except ConnectionClosed:
            pass

    async def _command(self, session: Session, command: dict[str, Any]) -> None:
        session.commands.append(command)
        params = command["params"]
        kind = " ".join(str(params[name]) for name in ("channel", "interval") if name in params)
        for symbol in params["symbol"]:
            name, is_asked = f"{kind} {symbol}", command["method"] == "subscribe"
            answer: dict[str, Any] = {"method": command["method"], "req_id": command["req_id"]}
            if symbol not in self.listed:
                answer |= {"error": f"Currency pair not supported {symbol}", "success": False}
            elif is_asked and name in session.streams:
                answer |= {"error": "Already subscribed", "success": False}
            else:
                (session.streams.append if is_asked else session.streams.remove)(name)
                answer |= {"result": {**params, "symbol": symbol}, "success": True}
            await session.connection.send(json.dumps(answer))
        await session.connection.send(json.dumps(HEARTBEAT))


def iso(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def ticker_told(symbol: str, price: float, **changes: Any) -> dict[str, Any]:
    row = {
        "symbol": symbol,
        "bid": price,
        "bid_qty": 0.5,
        "ask": price,
        "ask_qty": 0.5,
        "last": price,
        "volume": 1_000.5,
        "vwap": price * 0.99,
        "low": price * 0.96,
        "high": price * 1.03,
        "change": price * 0.02,
        "change_pct": 2.04,
        "trades": 321,
        "timestamp": iso(datetime.now(UTC)),
    }
    return row | changes
