"""The direct access to uvicorn's transport, with the installed uvicorn."""

import pytest
from starlette.types import Message
from websockets.exceptions import ConnectionClosed

from api.server.ws_transport import (
    SERVER_SEND,
    abort,
    remember_server_send,
    websocket_protocol,
)
from api.stream.protocol import Frame
from api.stream.sinks import TransportSink
from tests.api.stream.client import Served
from tests.api.stream.conftest import ServeStream


async def test_behind_uvicorn_frames_go_straight_to_the_transport(served: Served) -> None:
    """The attributes that it uses exist: without them, frames would silently go by ASGI."""
    async with served.reader("?channels=gas") as reader:
        await reader.next(op="data")
        (subscriber,) = served.broadcaster._subscribers
        sink = subscriber._sink
        assert isinstance(sink, TransportSink)
        assert sink.buffered() == 0
        assert repr(sink) == "<TransportSink 0 bytes buffered>"
        sink.close(1008, "enough")
        sink.close(1001, "again")
        sink.write(Frame(b"", "nothing"))
        with pytest.raises(ConnectionClosed):
            await reader.connection.recv()
    assert (reader.connection.close_code, reader.connection.close_reason) == (1008, "enough")


async def test_without_ws_direct_frames_go_through_a_queue(serve_stream: ServeStream) -> None:
    async with serve_stream(WS_DIRECT="false") as served, served.reader() as reader:
        await reader.next(op="hello")
        (subscriber,) = served.broadcaster._subscribers
        assert type(subscriber._sink).__name__ == "QueueSink"
        await reader.say(op="ping", id=3)
        assert (await reader.next(op="pong"))["id"] == 3


async def test_behind_an_unknown_server_there_is_no_transport() -> None:
    scope: dict[str, object] = {"type": "websocket"}

    async def send(_message: Message) -> None: ...

    remember_server_send(scope, send)
    assert scope[SERVER_SEND] is send
    assert websocket_protocol(scope) is None
    abort(scope)  # has no effect: the server's own timeouts apply
