"""A loopback imitation of the providers, over real sockets, with their true limits and faults.

Each provider has a port of its own, so that a refused connection is a real one. A limit that is
exceeded is answered as the provider would and noted in `overruns`: no test may leave one there.
"""

import asyncio
import json
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.world import data, feeds

MARKET = ("coingecko_pro", "coingecko_free", "binance")
OTHERS = (
    "cryptopanic",
    "newsapi",
    *feeds.PUBLISHERS,
    "alternative_me",
    "coinmarketcap",
    "etherscan",
    "etherscan_backup",
    "ethereum_rpc",
)
PROVIDERS = (*MARKET, *OTHERS, "binance_second", "ethereum_rpc_second")
#: What the provider itself enforces: (calls or weight, seconds).
TRUE_LIMITS = {
    "coingecko_pro": (300, 60.0),
    "coingecko_free": (5, 60.0),
    "binance": (6_000, 60.0),
    "binance_second": (6_000, 60.0),
    "cryptopanic": (1, 864.0),
    "newsapi": (50, 43_200.0),
    **dict.fromkeys(feeds.PUBLISHERS, (14, 3_600.0)),
    "alternative_me": (60, 60.0),
    "coinmarketcap": (1, 60.0),
    "etherscan": (3, 1.0),
    "etherscan_backup": (3, 1.0),
    "ethereum_rpc": (60, 60.0),
    "ethereum_rpc_second": (60, 60.0),
}


@dataclass
class Request:
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


def json_reply(value: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, data.to_json(value), named)


class World:
    """The providers, and what became of them."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.paths: defaultdict[str, list[str]] = defaultdict(list)
        self.keys: defaultdict[str, list[str]] = defaultdict(list)
        self.overruns: list[str] = []
        self.faults: dict[str, str] = {}
        self.good_keys = {"coingecko_pro": "CG-worldprokey0000000000001"}
        #: What `/key` tells of the good Pro key.
        self.account = {
            "rate_limit_request_per_minute": 500,
            "monthly_call_credit": 500_000,
            "current_total_monthly_calls": 1_234,
        }
        self.delay_s = 0.0
        self.begun = time.time()
        self.time_until_update = 50_000
        self.not_modified: Counter[str] = Counter()
        self._spent: defaultdict[str, deque[tuple[float, int]]] = defaultdict(deque)
        self._servers: dict[str, asyncio.Server] = {}
        self._ports: dict[str, int] = {}
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for name in PROVIDERS:
            await self.start(name)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for name in list(self._servers):
            await self.stop(name)

    async def start(self, name: str) -> None:
        """Listens, on the port that it had before if there was one."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections.add(task)
            try:
                await self._connection(name, reader, writer)
            finally:
                self._connections.discard(task)
                writer.close()

        port = self._ports.get(name, 0)
        server = await asyncio.start_server(serve, "127.0.0.1", port)
        self._servers[name] = server
        self._ports[name] = server.sockets[0].getsockname()[1]

    async def stop(self, name: str) -> None:
        """Refuses connections from now on, and drops those that are open."""
        server = self._servers.pop(name)
        server.close()
        for task in list(self._connections):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self._connections, return_exceptions=True)

    def url(self, name: str) -> str:
        prefix = "/api/v3" if name.startswith("coingecko") else ""
        return f"http://127.0.0.1:{self._ports[name]}{prefix}"

    def environment(self, **settings: str) -> dict[str, str]:
        """The variables that point a gateway to this world."""
        names = (*MARKET, *OTHERS)
        urls = {f"{name.upper()}_BASE_URL": self.url(name) for name in names}
        return {**urls, "BINANCE_STREAM_URL": "", **settings}

    async def _connection(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                request = await _read_request(reader)
                self.calls[name] += 1
                self.paths[name].append(request.path)
                await asyncio.sleep(self.delay_s)
                fault = self.faults.get(name, "none")
                if fault in WIRE_FAULTS:
                    await WIRE_FAULTS[fault](self._reply(name, request, "none"), writer)
                    return
                writer.write(_encoded(self._reply(name, request, fault)))
                await writer.drain()

    def _reply(self, name: str, request: Request, fault: str) -> Reply:
        if fault in HTTP_FAULTS:
            return HTTP_FAULTS[fault]()
        vendor = VENDORS[name.removesuffix("_second")]
        weight = 80 if request.path.endswith("/ticker/24hr") else 2 if vendor is binance else 1
        used = self._spend(name, weight)
        if used > TRUE_LIMITS[name][0]:
            self.overruns.append(f"{name} {request.path}")
            return json_reply({"code": -1003, "msg": "Too much"}, 429, Retry_After="30")
        reply = vendor(self, name, request)
        if vendor is binance:
            reply.headers["X-MBX-USED-WEIGHT-1M"] = str(used)
        return PAYLOAD_FAULTS[fault](reply) if fault in PAYLOAD_FAULTS else reply

    def _spend(self, name: str, weight: int) -> int:
        now, spent = time.monotonic(), self._spent[name]
        while spent and now - spent[0][0] >= TRUE_LIMITS[name][1]:
            spent.popleft()
        spent.append((now, weight))
        return sum(amount for _, amount in spent)


def coingecko(world: World, name: str, request: Request) -> Reply:
    now_ms = time.time_ns() // 1_000_000
    header = "x-cg-pro-api-key" if name == "coingecko_pro" else "x-cg-demo-api-key"
    key = request.headers.get(header)
    world.keys[name].append(key or "")
    is_wanted = name == "coingecko_pro" or key
    if is_wanted and key != world.good_keys.get(name):
        return _coingecko_error(401, 10002)
    if request.path == "/api/v3/coins/markets":
        return json_reply(data.coins(data.utc(now_ms - 20_000)))
    if request.path == "/api/v3/key":
        return (
            json_reply(world.account) if name == "coingecko_pro" else _coingecko_error(401, 10005)
        )
    known = {row[0]: row[3] for row in data.FAMOUS}
    coin = request.path.removeprefix("/api/v3/coins/").removesuffix("/ohlc")
    if not request.path.endswith("/ohlc") or coin not in known:
        return json_reply({"error": "coin not found"}, 404)
    if "interval" in request.query and name != "coingecko_pro":
        return _coingecko_error(401, 10005)
    steps = {"1": (data.HOUR // 2, 48), "30": (4 * data.HOUR, 180)}
    native = {"hourly": (data.HOUR, 2_160), "daily": (data.DAY, 180)}
    step, count = native.get(request.query.get("interval", "")) or steps[request.query["days"]]
    return json_reply(data.ohlc(known[coin], step, count, now_ms))


def _coingecko_error(status: int, code: int) -> Reply:
    body = {"timestamp": "2026-11-22T08:00:00.000+00:00", "error_code": code, "error_message": "-"}
    return json_reply({"status": body}, status)


def binance(_world: World, _name: str, request: Request) -> Reply:
    now_ms = time.time_ns() // 1_000_000
    rows = data.tickers(now_ms)
    if request.path == "/api/v3/ticker/24hr":
        return json_reply(rows)
    query = request.query
    prices = {row["symbol"]: float(row["lastPrice"]) for row in rows}
    closes = {row["symbol"]: row["closeTime"] for row in rows}
    symbol, interval = query.get("symbol", ""), query.get("interval", "")
    if symbol not in prices:
        return json_reply({"code": -1121, "msg": "Invalid symbol."}, 400)
    if interval not in data.STEPS:
        return json_reply({"code": -1120, "msg": "Invalid interval."}, 400)
    start, end = (int(query[name]) if name in query else None for name in ("startTime", "endTime"))
    newest = now_ms if now_ms - closes[symbol] < data.HOUR else closes[symbol]
    limit = min(int(query.get("limit", "500")), 1_000)
    return json_reply(data.klines(prices[symbol], data.STEPS[interval], newest, start, end, limit))


def rss(world: World, name: str, request: Request) -> Reply:
    etag = f'"{name}"'
    if request.headers.get("if-none-match") == etag:
        world.not_modified[name] += 1
        return Reply(304, headers={"ETag": etag})
    return Reply(200, feeds.feed(name, world.begun), {"ETag": etag}, "application/rss+xml")


def cryptopanic(world: World, _name: str, request: Request) -> Reply:
    if request.path != "/api/growth/v2/posts/":
        return Reply(404, b"<html>Unknown</html>", content_type="text/html")
    token = request.query["auth_token"]
    if token.startswith("bad"):
        return json_reply({"status": "api_error", "info": "Token not found"}, 400)
    return json_reply(feeds.posts(world.begun, token))


def newsapi(world: World, _name: str, request: Request) -> Reply:
    if request.headers.get("x-api-key", "bad").startswith("bad"):
        return json_reply({"status": "error", "code": "apiKeyInvalid", "message": "-"}, 401)
    return json_reply(feeds.articles(world.begun))


def alternative_me(world: World, _name: str, request: Request) -> Reply:
    return json_reply(
        feeds.fear_and_greed(int(request.query.get("limit", 1)), world.time_until_update)
    )


def coinmarketcap(_world: World, _name: str, request: Request) -> Reply:
    return json_reply(feeds.other_index(int(request.query.get("limit", 1))))


def etherscan(_world: World, _name: str, request: Request) -> Reply:
    key = request.query.get("apikey", "")
    if key.startswith("bad"):
        text = f"Invalid API Key (#err2)|{key}"
        return json_reply({"status": "0", "message": "NOTOK", "result": text})
    return json_reply(feeds.gas_oracle())


def ethereum_rpc(_world: World, _name: str, request: Request) -> Reply:
    return json_reply(feeds.fee_history(json.loads(request.body)))


VENDORS: dict[str, Callable[[World, str, Request], Reply]] = {
    "coingecko_pro": coingecko,
    "coingecko_free": coingecko,
    "binance": binance,
    "cryptopanic": cryptopanic,
    "newsapi": newsapi,
    **dict.fromkeys(feeds.PUBLISHERS, rss),
    "alternative_me": alternative_me,
    "coinmarketcap": coinmarketcap,
    "etherscan": etherscan,
    "etherscan_backup": etherscan,
    "ethereum_rpc": ethereum_rpc,
}

HTTP_FAULTS: dict[str, Callable[[], Reply]] = {
    "http500": lambda: json_reply({"status": 500, "error": "Internal Server Error"}, 500),
    "http503": lambda: json_reply({}, 503, Retry_After="120"),
    "429": lambda: json_reply({"status": {"error_code": 429}}, 429, Retry_After="53"),
    "418": lambda: json_reply({"code": -1003, "msg": "Way too much"}, 418, Retry_After="120"),
    "451": lambda: json_reply({"code": 0, "msg": "a restricted location"}, 451),
    "403": lambda: Reply(403, b"<html>Attention Required!</html>", content_type="text/html"),
    "401": lambda: _coingecko_error(401, 10002),
    "html": lambda: Reply(200, b"<html><body>soon</body></html>", content_type="text/html"),
    "empty": lambda: Reply(200),
    "empty_list": lambda: json_reply([]),
    "rpc_error": lambda: json_reply(
        [{"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "no"}}]
    ),
    "redirect": lambda: Reply(302, headers={"Location": "http://192.0.2.1/elsewhere"}),
}


def _rewritten(name: str, change: Callable[[float], float | str]) -> Callable[[Reply], Reply]:
    """All prices of a market list, or of tickers, changed; answers of other kinds stay."""

    def apply(reply: Reply) -> Reply:
        rows = json.loads(reply.body)
        if not isinstance(rows, list) or not isinstance(rows[0], dict):
            return reply
        for row in rows:
            field_name = "current_price" if "current_price" in row else "lastPrice"
            value = change(float(row[field_name]))
            row[field_name] = str(value) if field_name == "lastPrice" else value
        return Reply(reply.status, data.to_json(rows), reply.headers)

    apply.__name__ = name
    return apply


PAYLOAD_FAULTS: dict[str, Callable[[Reply], Reply]] = {
    "truncated": lambda reply: Reply(200, reply.body[: len(reply.body) // 2]),
    "nan": _rewritten("nan", lambda _price: float("nan")),
    "zero": _rewritten("zero", lambda _price: 0.0),
    "negative": _rewritten("negative", lambda price: -price),
    "times_1000": _rewritten("times_1000", lambda price: price * 1_000),
    "renamed": lambda reply: Reply(200, reply.body.replace(b"rice", b"rize")),
    "null": lambda _reply: Reply(200, b"null"),
}


async def _silence(_reply: Reply, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(120)


async def _drip(reply: Reply, writer: asyncio.StreamWriter) -> None:
    for byte in _encoded(reply)[:120]:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)


async def _reset(reply: Reply, writer: asyncio.StreamWriter) -> None:
    writer.write(_encoded(reply)[:400])
    await writer.drain()
    writer.transport.abort()


async def _endless(_reply: Reply, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
    for _ in range(400):
        writer.write(b" " * 1_000_000)
        await writer.drain()


WIRE_FAULTS = {"silence": _silence, "drip": _drip, "reset": _reset, "endless": _endless}


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    url = urlsplit(first.split(" ")[1])
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(unquote(url.path), dict(parse_qsl(url.query)), headers, body)


def _encoded(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} X", f"Content-Type: {reply.content_type}"]
    lines += [f"Content-Length: {len(reply.body)}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + reply.body
