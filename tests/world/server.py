"""A loopback imitation of the providers, over real sockets, with their true limits and faults.

Each provider has a port of its own, so that a refused connection is a real one. A limit that is
exceeded is answered as the provider would and noted in `overruns`: no test may leave one there.
"""

import asyncio
import socket
import ssl
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

from backend.clock import Clock
from tests.world import feeds
from tests.world.binance import binance, weight
from tests.world.facts import Facts
from tests.world.faults import HTTP_FAULTS, PAYLOAD_FAULTS, WIRE_FAULTS
from tests.world.messages import Reply, Request, encoded, json_reply, read_request
from tests.world.vendors import VENDORS

MARKET = ("coingecko_pro", "coingecko_free", "binance")
#: Off unless a test switches them on: most tests say which of MARKET answers.
FURTHER_VENUES = ("coinbase", "okx", "bitstamp", "kraken")
OTHERS = (
    "cryptopanic",
    "newsapi",
    *feeds.PUBLISHERS,
    "alternative_me",
    "coinmarketcap",
    "coinpaprika",
    "etherscan",
    "etherscan_backup",
    *(f"{chain}_rpc" for chain in feeds.EVM_CHAINS),
    "mempool_space",
    "esplora",
    "coinbase_rates",
    "frankfurter",
)
PROVIDERS = (*MARKET, *FURTHER_VENUES, *OTHERS, "binance_second", "ethereum_rpc_second")
#: Settings of a gateway that uses the vendors of foreign lists.
WITH_LISTS = {"COINMARKETCAP_ENABLED": "true", "COINPAPRIKA_ENABLED": "true"}
#: The second Fear & Greed index alone; it brings CoinMarketCap's list.
WITH_SECOND_INDEX = {"COINMARKETCAP_ENABLED": "true"}
#: What the provider itself enforces: (calls or weight, seconds).
TRUE_LIMITS = {
    "coingecko_pro": (300, 60.0),
    "coingecko_free": (5, 60.0),
    "binance": (6_000, 60.0),
    "binance_second": (6_000, 60.0),
    "coinbase": (10, 1.0),
    "okx": (20, 2.0),
    "bitstamp": (10_000, 600.0),
    "kraken": (60, 60.0),
    "cryptopanic": (1, 864.0),
    "newsapi": (50, 43_200.0),
    **dict.fromkeys(feeds.PUBLISHERS, (14, 3_600.0)),
    "alternative_me": (60, 60.0),
    "coinmarketcap": (1, 60.0),
    "coinpaprika": (2, 300.0),
    "etherscan": (3, 1.0),
    "etherscan_backup": (3, 1.0),
    **{f"{chain}_rpc": (60, 60.0) for chain in feeds.EVM_CHAINS},
    "mempool_space": (6, 60.0),
    "esplora": (4, 120.0),
    "ethereum_rpc_second": (60, 60.0),
    "coinbase_rates": (6, 60.0),
    "frankfurter": (4, 3_600.0),
}

MOST_REQUESTS = 10_000  # that World.requests keeps


class World(Facts):
    """The providers, and what became of them."""

    def __init__(
        self,
        clock: Clock | None = None,
        names: Collection[str] = PROVIDERS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`names` of PROVIDERS listen; a call to any other is refused. With `tls` by TLS."""
        super().__init__(clock)
        self.calls: Counter[str] = Counter()
        #: The newest calls with all that they sent, oldest first.
        self.requests: deque[tuple[str, Request]] = deque(maxlen=MOST_REQUESTS)
        #: When each call came, on the world's clock.
        self.called_at: defaultdict[str, list[float]] = defaultdict(list)
        self.paths: defaultdict[str, list[str]] = defaultdict(list)
        #: What each call took of the provider's limit.
        self.weights: defaultdict[str, list[int]] = defaultdict(list)
        self.overruns: list[str] = []
        self.faults: dict[str, str] = {}
        #: One fault a call, in the place of `faults` as long as there are any.
        self.scripts: dict[str, Iterator[str]] = {}
        self.limits = dict(TRUE_LIMITS)
        #: Providers that count calls, whatever these weigh.
        self.unweighted: set[str] = set()
        #: Lower limits that nobody was told of: more is refused, and no overrun.
        self.silent_limits: dict[str, tuple[int, float]] = {}
        #: Calls that a limit refused.
        self.refused: Counter[str] = Counter()
        self.delay_s = 0.0
        self._names = names
        self._tls = tls
        self._spent: defaultdict[str, deque[tuple[float, int]]] = defaultdict(deque)
        self._servers: dict[str, asyncio.Server] = {}
        self._ports: dict[str, int] = {}
        self._held: dict[str, socket.socket] = {}
        self._connections: dict[asyncio.Task[None], str] = {}

    async def __aenter__(self) -> Self:
        for name in self._names:
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
        for held in self._held.values():
            held.close()

    async def start(self, name: str) -> None:
        """Listens, on the port that it had before if there was one."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections[task] = name
            try:
                await self._connection(name, reader, writer)
            finally:
                self._connections.pop(task, None)
                writer.close()

        if held := self._held.pop(name, None):
            held.close()
        port = self._ports.get(name, 0)
        server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=self._tls)
        self._servers[name] = server
        self._ports[name] = server.sockets[0].getsockname()[1]

    async def stop(self, name: str) -> None:
        """Refuses connections from now on, and drops those that are open."""
        server = self._servers.pop(name)
        server.close()
        # Bound, not listening: it refuses, and no other test's world can get this port meanwhile.
        self._held[name] = socket.socket()
        self._held[name].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held[name].bind(("127.0.0.1", self._ports[name]))
        tasks = [task for task, served in self._connections.items() if served == name]
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    def url(self, name: str) -> str:
        return self.origin(name) + ("/api/v3" if name.startswith("coingecko") else "")

    def origin(self, name: str) -> str:
        """Scheme, host and port, without a path."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._ports[name]}"

    def environment(self, **settings: str) -> dict[str, str]:
        """The variables that point a gateway to this world.

        Further venues are off, and vendors of foreign lists, which WITH_LISTS switches on: with
        them the market has other ranks as soon as CoinGecko fails.
        """
        names = (*MARKET, *FURTHER_VENUES, *OTHERS)
        urls = {f"{name.upper()}_BASE_URL": self.url(name) for name in names}
        off = {f"{name.upper()}_ENABLED": "false" for name in FURTHER_VENUES}
        off |= dict.fromkeys(WITH_LISTS, "false")
        off |= {"BINANCE_STREAM_URL": "", "KRAKEN_STREAM_URL": "", "CLIENT_RATE_LIMIT": ""}
        return {**urls, **off, **settings}

    def weight_of(self, name: str, request: Request) -> int:
        """What a call takes of the provider's limit."""
        if name in self.unweighted or VENDORS[name.removesuffix("_second")] is not binance:
            return 1
        return weight(request)

    async def _connection(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                request = await read_request(reader)
                self._note_call(name, request)
                await asyncio.sleep(self.delay_s)
                fault = self._fault_of(name)
                if fault in WIRE_FAULTS:
                    request.headers.pop("if-none-match", None)
                    await WIRE_FAULTS[fault](self._reply(name, request, "none"), writer)
                    return
                writer.write(encoded(self._reply(name, request, fault)))
                await writer.drain()

    def _note_call(self, name: str, request: Request) -> None:
        self.calls[name] += 1
        self.called_at[name].append(self.clock.monotonic())
        self.paths[name].append(request.path)
        self.weights[name].append(self.weight_of(name, request))
        self.requests.append((name, request))

    def _fault_of(self, name: str) -> str:
        scripted = next(self.scripts[name], None) if name in self.scripts else None
        return scripted or self.faults.get(name, "none")

    def _reply(self, name: str, request: Request, fault: str) -> Reply:
        if fault in HTTP_FAULTS:
            return HTTP_FAULTS[fault](self)
        vendor = VENDORS[name.removesuffix("_second")]
        refusal = self._refusal(name, request, self.weight_of(name, request))
        if refusal:
            return refusal
        if fault in PAYLOAD_FAULTS:  # what has not changed has no body that could be spoiled
            request.headers.pop("if-none-match", None)
        reply = vendor(self, name, request)
        if vendor is binance:
            reply.headers["X-MBX-USED-WEIGHT-1M"] = str(self._used(name, self.limits[name][1]))
        return PAYLOAD_FAULTS[fault](reply) if fault in PAYLOAD_FAULTS else reply

    def _refusal(self, name: str, request: Request, weight: int) -> Reply | None:
        """By the limit that everybody knows, or by the one that nobody was told of."""
        self._spent[name].append((self.clock.monotonic(), weight))
        limit, period_s = self.limits[name]
        if self._used(name, period_s) > limit:
            self.overruns.append(f"{name} {request.path}")
            return json_reply({"code": -1003, "msg": "Too much"}, 429, Retry_After="30")
        silent, period_s = self.silent_limits.get(name, (limit, period_s))
        if self._used(name, period_s) > silent:
            self.refused[name] += 1
            return json_reply({}, 429)
        return None

    def _used(self, name: str, period_s: float) -> int:
        now, spent = self.clock.monotonic(), self._spent[name]
        while spent and now - spent[0][0] >= max(period_s, self.limits[name][1]):
            spent.popleft()
        return sum(amount for at, amount in spent if now - at < period_s)
