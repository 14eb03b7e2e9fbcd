"""Raw bytes as a handshake's answer and as frames: decoded JSON, or an error of ours."""

import asyncio
import gc
import logging
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from backend.errors import MalformedResponse, ProviderError
from backend.providers import push_client
from backend.providers.adapter import Adapter
from backend.providers.push_client import PushClient
from backend.providers.vendors import binance
from tests.clocks import ManualClock
from tests.fuzz.budget import FACTOR
from tests.fuzz.raw_frames import PushAnswer, frame, greeting, push_answer
from tests.fuzz.test_wire import SEED, open_descriptors
from tests.memory import growth

PLAIN = Adapter("plain", ())
ADAPTERS = (binance.ADAPTER, PLAIN)
ANSWERS, PARTS = 750 * max(FACTOR, 1), 2
#: Frames that are read of one connection, and how long each is waited for, in seconds.
MOST_FRAMES, PATIENCE_S = 12, 1.0
MOST_GROWN_MB = 32.0
#: The library's own tasks end a little after the connection that they watched.
SETTLED_S = 0.1
KEY = re.compile(rb"Sec-WebSocket-Key: (\S+)")
GOOD = PushAnswer("good", lambda key: greeting(key) + frame(b'{"good":1}'))


@dataclass
class PushServer:
    """Sends what `answer` makes of the handshake's key, then goes."""

    answer: PushAnswer = GOOD
    url: str = ""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(lambda _task: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            request = await reader.readuntil(b"\r\n\r\n")
            (key,) = KEY.findall(request)
            writer.write(self.answer.made(key))
            await writer.drain()


@asynccontextmanager
async def push_server() -> AsyncIterator[PushServer]:
    made = PushServer()
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/stream"
    try:
        yield made
    finally:
        server.close()
        await asyncio.gather(*made.tasks)


async def heard(client: PushClient, adapter: Adapter, url: str) -> list[object]:
    """What one connection tells until it ends. Raises whatever is no ProviderError."""
    frames: list[object] = []
    with suppress(ProviderError):
        async with client.open(adapter, url) as connection:
            while len(frames) < MOST_FRAMES:
                try:
                    frames.append(await connection.receive(PATIENCE_S))
                except MalformedResponse:
                    frames.append(None)
    return frames


async def play(numbers: range) -> None:
    client = PushClient(ManualClock())
    async with push_server() as server:
        for number in numbers:
            dice = random.Random(f"{SEED}:{number}")
            server.answer = push_answer(dice)
            try:
                await heard(client, ADAPTERS[number % 2], server.url)
                server.answer = GOOD
                assert await heard(client, PLAIN, server.url) == [{"good": 1}]
            except Exception as error:
                told = f"answer {number} of seed {SEED}, {server.answer.kind}"
                raise AssertionError(told) from error


@pytest.mark.timeout(240)
@pytest.mark.parametrize("part", range(PARTS))
async def test_any_answer_and_any_frame_is_json_or_an_error_of_ours(
    part: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(push_client, "CLOSE_TIMEOUT_S", 0.05)
    await play(range(3))
    await asyncio.sleep(SETTLED_S)
    tasks, descriptors = asyncio.all_tasks(), open_descriptors()
    with growth() as grown:
        await play(range(ANSWERS * part // PARTS, ANSWERS * (part + 1) // PARTS))
    await asyncio.sleep(SETTLED_S)
    assert asyncio.all_tasks() == tasks
    gc.collect()
    assert open_descriptors() <= descriptors  # those of earlier tests may have closed meanwhile
    assert grown.mb < MOST_GROWN_MB
    assert not [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]
