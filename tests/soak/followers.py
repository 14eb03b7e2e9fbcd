"""Readers of the stream who come, check what they are told, and go, politely or not."""

import asyncio
import json
import random
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.soak.questions import Wrong, need, rows_are_right

CHOICES = (
    "channels=market&symbols=BTC,ETH",
    "channels=market,gas,sentiment,news&symbols=BTC",
    "channels=ohlc&symbols=BTC&interval=1m",
    "channels=status",
)
OPS = {"hello", "subscribed", "data", "status", "feed", "heartbeat", "pong", "error"}


class Watch:
    """One connection's topics: `seq` counts by ones, rows have true prices."""

    def __init__(self) -> None:
        self._seqs: dict[tuple[Any, ...], int] = {}

    def hear(self, message: dict[str, Any]) -> None:
        """Raises Wrong."""
        need(message["op"] in OPS, f"a frame {message['op']}")
        if message["op"] == "error":
            need(message["code"] in {"not_ready", "all_providers_failed"}, f"told {message}")
        if message["op"] != "data":
            return
        topic = tuple(message.get(name) for name in ("channel", "id", "interval"))
        before = self._seqs.get(topic)
        is_next = message["type"] == "snapshot" or message["seq"] == (before or 0) + 1
        need(is_next, f"{topic}: seq {message['seq']} after {before}")
        self._seqs[topic] = message["seq"]
        if message["channel"] == "market" and message["data"]:
            rows_are_right(message["data"])


async def follow_frames(port: int, stay_s: float, until: float, counts: Counter[str]) -> None:
    """By WebSocket, one connection after the other. Raises Wrong."""
    while (left_s := until - time.monotonic()) > 0:
        address = f"ws://127.0.0.1:{port}/ws?{random.choice(CHOICES)}"
        connection = await connect(address, proxy=None, compression=None, max_queue=None)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, random.uniform(stay_s / 20, stay_s))):
                    await _read_frames(connection, counts)
        finally:
            if random.random() < 0.3:
                connection.transport.abort()
            await connection.close()


async def _read_frames(connection: Any, counts: Counter[str]) -> None:
    watch = Watch()
    try:
        async for text in connection:
            watch.hear(json.loads(text))
            counts["frames"] += 1
    except ConnectionClosed as closed:
        raise Wrong(f"closed: {closed}") from None
    raise Wrong(f"closed: {connection.close_code}")


async def follow_events(port: int, stay_s: float, until: float, counts: Counter[str]) -> None:
    """By Server-Sent Events. Raises Wrong."""
    while (left_s := until - time.monotonic()) > 0:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            path = f"/api/stream?{random.choice(CHOICES)}"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: soak\r\n\r\n".encode())
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, random.uniform(stay_s / 20, stay_s))):
                    await _read_events(reader, counts)
        finally:
            writer.transport.abort()


async def _read_events(reader: asyncio.StreamReader, counts: Counter[str]) -> None:
    watch = Watch()
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 503 " in head[:20]:
        await asyncio.sleep(1)  # nothing is known yet, or nobody answers: it says so
        return
    need(b" 200 " in head[:20], f"no stream: {head[:80]!r}")
    while True:
        size = int((await reader.readline()).strip() or b"0", 16)
        need(size > 0, "the stream ended")
        chunk = await reader.readexactly(size + 2)
        for line in chunk.split(b"\n"):
            if line.startswith(b"data: "):
                watch.hear(json.loads(line[6:]))
                counts["events"] += 1
