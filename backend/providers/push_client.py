"""The only WebSocket client of upstream streams. Its errors become ProviderErrors here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
)
from websockets.uri import parse_uri

from backend.clock import Clock
from backend.environment.network import NetworkSettings
from backend.errors import ConnectFailed, ConnectionBroken, MalformedResponse
from backend.providers.adapter import MIB, Adapter
from backend.providers.client import USER_AGENT
from backend.providers.connection_errors import describe
from backend.providers.json_body import decode_json
from backend.providers.refusals import refusal_in
from backend.providers.unexpected import UnexpectedErrors

OPEN_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 5.0
#: Largest frame; one of all tickers has about 0.4 MB.
MOST_BYTES = 4 * MIB
#: The library answers the vendor's pings; our own pings detect a dead connection. In seconds.
PING_S, PONG_TIMEOUT_S, CLOSE_TIMEOUT_S = 20.0, 20.0, 1.0

#: The message of a cancellation by `interrupt`.
_INTERRUPTED = "no frame came in time"


class PushConnection(Protocol):
    """An open connection that sends text and receives JSON."""

    async def send(self, text: str) -> None:
        """Raises ProviderError."""

    async def receive(self, timeout_s: float) -> Any:
        """The next frame, decoded; None if none came in time. Raises ProviderError."""

    async def receive_bytes(self, timeout_s: float) -> bytes | None:
        """The next frame as it came; None if none came in time. Raises ProviderError."""

    def interrupt(self) -> None:
        """Ends a `receive` that waits: it returns None, and no frame is lost."""


class _Direct(connect):
    """A connection that follows no redirect: only the configured host is trusted."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class PushClient:
    """Opens connections, through a proxy if the settings name one. It never reconnects."""

    def __init__(self, clock: Clock, network: NetworkSettings | None = None) -> None:
        self._clock = clock
        self._network = network or NetworkSettings()
        self._unexpected = UnexpectedErrors()

    @asynccontextmanager
    async def open(self, adapter: Adapter, url: str) -> AsyncIterator[PushConnection]:
        """An open connection to `url`, closed on leaving. Raises ProviderError."""
        try:
            connection = await _Direct(url, **self._options(url))
        except InvalidStatus as error:
            # The same error as of a refused request.
            status, raw = error.response.status_code, error.response.headers.raw_items()
            headers = {name.lower(): value for name, value in raw}
            refusal = refusal_in(adapter, status, headers, None, b"", self._clock.now())
            raise refusal or ConnectFailed(f"HTTP {status} instead of a handshake") from None
        except InvalidProxyStatus as error:
            status = error.response.status_code
            raise ConnectFailed(f"the proxy answered {status}") from None
        except (OSError, TimeoutError, EOFError, InvalidHandshake, InvalidURI) as error:
            raise ConnectFailed(describe(error)) from None
        except Exception as error:  # a library's exception on what the server sent
            self._unexpected.log(f"the handshake with {adapter.vendor}", error)
            raise ConnectFailed(type(error).__name__) from None
        try:
            yield _Connection(connection, adapter, self._unexpected)
        finally:
            try:
                async with asyncio.timeout(2 * CLOSE_TIMEOUT_S):
                    await connection.close()
            except TimeoutError:  # it accepts no data
                connection.transport.abort()

    def _options(self, url: str) -> dict[str, Any]:
        """Limits, proxy and certificates: otherwise the library would read the environment."""
        uri = parse_uri(url)
        proxy = self._network.proxy_for("wss" if uri.secure else "ws", uri.host, uri.port)
        options: dict[str, Any] = {
            "compression": None,
            "user_agent_header": USER_AGENT,
            "open_timeout": OPEN_TIMEOUT_S,
            "ping_interval": PING_S,
            "ping_timeout": PONG_TIMEOUT_S,
            "close_timeout": CLOSE_TIMEOUT_S,
            "max_size": MOST_BYTES,
            "proxy": proxy.url if proxy else None,
        }
        if uri.secure:
            options["ssl"] = self._network.tls()
        if proxy and proxy.scheme == "https":
            options["proxy_ssl"] = self._network.tls()
        return options


@dataclass(slots=True)
class _Connection:
    connection: ClientConnection
    adapter: Adapter
    unexpected: UnexpectedErrors
    #: The task that waits for a frame.
    receiver: asyncio.Task[Any] | None = None

    async def send(self, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self.connection.send(text)
        except (ConnectionClosed, TimeoutError) as error:
            raise ConnectionBroken(describe(error)) from None

    async def receive(self, timeout_s: float) -> Any:
        text = await self._receive(timeout_s, decode=None)
        if text is None:
            return None
        try:
            payload = orjson.loads(text)
        except orjson.JSONDecodeError:  # hardly ever: it can often be repaired
            payload = decode_json(text.encode() if isinstance(text, str) else text)
        if payload is None:
            raise MalformedResponse("the frame is not JSON")
        return payload

    async def receive_bytes(self, timeout_s: float) -> bytes | None:
        frame = await self._receive(timeout_s, decode=False)
        return frame.encode() if isinstance(frame, str) else frame

    def interrupt(self) -> None:
        receiver, self.receiver = self.receiver, None  # a second cancellation would be another's
        if receiver is not None:
            receiver.cancel(_INTERRUPTED)

    async def _receive(self, timeout_s: float, *, decode: bool | None) -> str | bytes | None:
        """`decode`: None for text and bytes as sent, False for bytes.

        As with `asyncio.timeout`, but in a third of its calls: there is a time-out for each frame.
        """
        loop = asyncio.get_running_loop()
        self.receiver = task = asyncio.current_task(loop)
        assert task, "a coroutine runs in a task"
        timer = loop.call_later(timeout_s, self.interrupt)
        try:
            return await self.connection.recv(decode)
        except asyncio.CancelledError as error:
            if error.args == (_INTERRUPTED,) and task.uncancel() == 0:
                return None
            raise
        except ConnectionClosed as error:
            raise ConnectionBroken(describe(error)) from None
        except Exception as error:
            self.unexpected.log(f"a frame of {self.adapter.vendor}", error)
            raise ConnectionBroken(type(error).__name__) from None
        finally:
            self.receiver = None
            timer.cancel()
