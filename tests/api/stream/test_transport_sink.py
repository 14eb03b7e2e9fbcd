"""The direct access to uvicorn's transport, with the installed uvicorn."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from starlette.types import Message
from websockets.exceptions import ConnectionClosed

from api.server.ws_transport import (
    SERVER_SEND,
    abort,
    remember_server_send,
    websocket_protocol,
)
from api.stream.clients import WebSocketClient
from api.stream.protocol import Frame
from api.stream.sinks import TransportSink
from tests.api.stream.client import Served
from tests.api.stream.conftest import ServeStream
from tests.api.stream.test_floods import CLOSE, FIN, TEXT, Talker, frame, talking


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


async def test_a_connection_needs_no_task(served: Served) -> None:
    """A task, and all that it keeps alive, would use several times the connection's memory."""
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(served.reader("?channels=gas")) for _ in "abc"]
        for reader in readers:
            await reader.next(op="data")
        assert not served.server.server_state.tasks
        await readers[0].say(op="ping", id=1)
        await readers[0].next(op="pong")
        assert len(served.broadcaster._subscribers) == 3
    async with asyncio.timeout(2):
        while served.broadcaster._subscribers or served.server.server_state.tasks:
            await asyncio.sleep(0.01)


async def test_nothing_is_written_behind_a_close_frame(served: Served) -> None:
    """Whoever closes: the gateway, the server for a fault of the client, or the client."""

    async def sink_of(talker: Talker) -> TransportSink:
        await talker.reader.readuntil(b'"op":"hello"')
        async with asyncio.timeout(2):
            while not served.broadcaster._subscribers:
                await asyncio.sleep(0.01)
        sink = next(iter(served.broadcaster._subscribers))._sink
        assert isinstance(sink, TransportSink)
        assert sink.is_open
        return sink

    ends: list[bytes] = [b"", frame(FIN | CLOSE), frame(0x70 | TEXT, b"reserved bits"), b"eof"]
    for end in ends:
        async with talking(served.port) as talker:
            sink = await sink_of(talker)
            if end == b"eof":
                talker.writer.write_eof()
            elif end:
                await talker.say(end)
            else:
                sink.close(1001, "the gateway closes")
            async with asyncio.timeout(2):
                while sink.is_open:
                    await asyncio.sleep(0.01)
            sink.write(Frame(b"late", "market"))
            assert b"late" not in await asyncio.wait_for(talker.reader.read(), 5)


async def test_a_transport_says_when_it_may_be_full(served: Served) -> None:
    async with talking(served.port) as talker:
        await talker.reader.readuntil(b'"op":"hello"')
        sink = next(iter(served.broadcaster._subscribers))._sink
        assert not sink.may_be_full
        talker.writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's reads, too
        many = Frame(b"x" * 1_000_000, "market")
        for _ in range(8):
            sink.write(many)
            await asyncio.sleep(0.01)
        assert sink.may_be_full
        assert sink.buffered() > 0
        talker.writer.transport.resume_reading()
        reading = asyncio.create_task(talker.reader.readexactly(8_000_000))
        await asyncio.wait_for(reading, 10)
        assert not sink.may_be_full


async def test_a_message_that_began_before_the_server_took_over_is_read(served: Served) -> None:
    message = frame(FIN | TEXT, b'{"op":"ping","id":7}')
    for cut in (0, 1, 5, len(message) - 1, len(message)):
        async with talking(served.port) as talker:
            await talker.say(message[:cut])  # just after the handshake
            await talker.reader.readuntil(b'"op":"hello"')
            await talker.say(message[cut:])
            await talker.reader.readuntil(b'{"op":"pong","id":7}')


async def test_a_message_that_fails_ends_the_connection(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_self: WebSocketClient) -> str:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(WebSocketClient, "_over_limit", fail)
    async with served.reader("?channels=gas") as reader:
        await reader.next(op="data")
        await reader.say(op="ping")
        await reader.connection.wait_closed()
    assert "a fault of ours" in caplog.text
    async with asyncio.timeout(2):
        while served.broadcaster._subscribers:
            await asyncio.sleep(0.01)


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
