"""One client of Binance's streams, from the handshake to the end of the connection."""

from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from api.edge.client_limits import ClientAccount, account_of
from api.edge.layer import DENIAL
from api.edge.problems import problem
from api.facades.binance.streams.commands import (
    RATE_LIMITED,
    Command,
    InvalidCommand,
    error_of,
    parse_command,
    result_of,
)
from api.facades.binance.streams.hub import Client, StreamHub
from api.server.bounded_websocket import TokenBucket
from api.server.ws_transport import limit_kernel_buffer
from api.stream.address_limits import TooManyClients
from api.stream.protocol import MAX_FRAME_BYTES, MESSAGE_TOO_BIG, POLICY_VIOLATION
from api.stream.websocket_sink import open_sink, receiving
from backend.clock import Clock
from backend.errors import ClientLimitReached

#: Messages of one client at once, and a second in the long run; Binance allows 5 a second.
BURST_MESSAGES, MESSAGES_PER_S = 20, 5
#: The units of time of the frames: it is that of the one connection to Binance.
TIME_UNITS = ("", "MILLISECOND", "millisecond")


class StreamClient:
    """Executes the messages of one client, one after the other."""

    __slots__ = ("_client", "_clock", "_hub", "_messages")

    def __init__(self, hub: StreamHub, client: Client, clock: Clock) -> None:
        self._hub, self._client, self._clock = hub, client, clock
        self._messages = TokenBucket(BURST_MESSAGES, MESSAGES_PER_S, clock.monotonic())

    def connection_lost(self) -> None:
        self._hub.leave(self._client)
        self._hub.release_slot(self._client.account)

    async def receive(self, text: str | None) -> None:
        client = self._client
        if text is not None and len(text) > MAX_FRAME_BYTES:
            reason = f"a message has at most {MAX_FRAME_BYTES} bytes"
            client.sink.close(MESSAGE_TOO_BIG, reason)
        elif not self._messages.take(1, self._clock.monotonic()):
            client.sink.close(POLICY_VIOLATION, f"at most {MESSAGES_PER_S} messages a second")
        else:
            try:
                command = parse_command(text)
                self._charge(command)
                client.send(result_of(command, _execute(self._hub, client, command)))
            except InvalidCommand as invalid:
                client.send(error_of(invalid))

    def _charge(self, command: Command) -> None:
        try:
            self._client.account.charge(1)
        except ClientLimitReached as refusal:
            raise InvalidCommand(
                RATE_LIMITED, f"Too many requests; {refusal}", command.id
            ) from None


class StreamSession:
    """One connection, from the handshake on."""

    def __init__(self, websocket: WebSocket, names: str, *, is_combined: bool) -> None:
        """`names` are the streams of the URL, with slashes between them."""
        self._websocket = websocket
        # In a query a plus is a space; no stream has one in its name.
        self._names = [name for name in names.replace(" ", "+").split("/") if name]
        self._is_combined = is_combined

    async def run(self) -> None:
        """Returns at the end of the connection, or once the server gives its messages to a
        `StreamClient`."""
        hub: StreamHub | None = self._websocket.app.state.raw_streams
        if hub is None:
            detail = "Binance's streams are off: BINANCE_ENABLED, BINANCE_STREAM_URL"
            await self._refuse("no_provider_configured", detail)
        elif self._websocket.query_params.get("timeUnit", "") not in TIME_UNITS:
            detail = "timeUnit is MILLISECOND: all clients share one connection to Binance"
            await self._refuse("invalid_parameter", detail)
        else:
            await self._serve(hub)

    async def _serve(self, hub: StreamHub) -> None:
        account = account_of(self._websocket.scope)
        try:
            hub.acquire_slot(account)
        except TooManyClients as full:
            await self._refuse("too_many_clients", str(full))
            return
        try:
            await self._websocket.accept()
        except BaseException as error:  # the client may leave at any moment
            hub.release_slot(account)
            if not isinstance(error, WebSocketDisconnect):
                raise
            return
        with suppress(WebSocketDisconnect):
            await self._converse(hub, account)

    async def _converse(self, hub: StreamHub, account: ClientAccount) -> None:
        websocket, state = self._websocket, self._websocket.app.state
        limit_kernel_buffer(websocket.scope, state.broadcaster.limits["stuck_seconds"])
        async with open_sink(websocket, state.stream_times.drain_s) as sink:
            client = hub.join(sink, account, is_combined=self._is_combined)
            receiver = StreamClient(hub, client, state.gateway.clock)
            async with receiving(websocket, sink, receiver):
                self._subscribe_to_names(hub, client)

    def _subscribe_to_names(self, hub: StreamHub, client: Client) -> None:
        """Each stream of the URL that can be had, and an error for the first of the others."""
        first: InvalidCommand | None = None
        for name in dict.fromkeys(self._names):
            try:
                hub.subscribe(client, [name])
            except InvalidCommand as invalid:
                first = first or invalid
        if first is not None:
            client.send(error_of(first))

    async def _refuse(self, code: str, detail: str) -> None:
        """Answers the handshake in the dialect, where the server can."""
        websocket = self._websocket
        if DENIAL in websocket.scope.get("extensions", {}):
            await websocket.send_denial_response(problem(websocket, code, detail))
        else:
            await websocket.close()  # 403


def _execute(hub: StreamHub, client: Client, command: Command) -> object:
    """The result. Raises InvalidCommand."""
    match command.method:
        case "SUBSCRIBE":
            try:
                hub.subscribe(client, command.streams)
            except InvalidCommand as invalid:
                invalid.id = command.id
                raise
        case "UNSUBSCRIBE":
            hub.unsubscribe(client, command.streams)
        case "LIST_SUBSCRIPTIONS":
            return list(client.streams)
        case "SET_PROPERTY":
            client.is_combined = command.is_combined
        case "GET_PROPERTY":
            return client.is_combined
    return None
