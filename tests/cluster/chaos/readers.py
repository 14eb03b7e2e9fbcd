"""The readers, in a process of their own: `python -m tests.cluster.chaos.readers FILE PORTS RATE
COLD_RATE`, until the standard input ends.

They come at a fixed rate, whatever becomes of those before them. Each writes one line to the file:
when it came (seconds on the machine's monotonic clock), how long it waited (seconds), the port, its
kind (`cached` or `cold`), the status of its answer (0: none in time), the header X-Cache, the path.
"""

import asyncio
import random
import sys
import time
from collections import defaultdict
from contextlib import suppress
from itertools import count, product
from pathlib import Path

from tests.benchmarks.fanout_control import run

HOST = "127.0.0.1"
#: The gateway answers within REQUEST_DEADLINE, 4 s; after this a reader counts as not answered.
PATIENCE_S = 6.0
WRITE_S = 0.1
#: Asked again and again, so that every process has an answer.
CACHED = (
    "/api/market?limit=20",
    "/api/gas",
    "/api/gas?chain=base",
    "/api/gas?chain=arbitrum",
    "/api/sentiment",
    "/api/market/ohlc?symbol=BTC&limit=50",
    "/api/news?limit=5",
    "/api/global",
)
SYMBOLS = ("BTC", "ETH", *(f"C{number}" for number in range(60)))
INTERVALS = {"1m": 60, "5m": 300, "1h": 3_600, "4h": 14_400, "1d": 86_400}
#: The venue of `tests.world` has four thousand candles of each: blocks of a thousand.
BLOCKS = range(4)


def cold_paths() -> list[str]:
    """In random order; about twelve hundred, so that each is forgotten before it comes again."""
    now_s, paths = int(time.time()), []
    for symbol, (interval, step_s), block in product(SYMBOLS, INTERVALS.items(), BLOCKS):
        start = f"&start={now_s - (block * 1_000 + 50) * step_s}" if block else ""
        paths.append(f"/api/market/ohlc?symbol={symbol}&interval={interval}&limit=5{start}")
    random.shuffle(paths)
    return paths


class Connections:
    """Idle connections by port. One that the server has closed is not used again."""

    def __init__(self) -> None:
        self._idle: defaultdict[int, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = (
            defaultdict(list)
        )

    async def get(self, port: int, path: str) -> tuple[int, str]:
        """The status, and the header X-Cache or a hyphen."""
        reader, writer = await self._open(port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: chaos\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            headers = dict(line.partition(": ")[::2] for line in head.split("\r\n")[1:])
            await reader.readexactly(int(headers["content-length"]))
        except BaseException:
            writer.transport.abort()
            raise
        self._idle[port].append((reader, writer))
        return int(head.split()[1]), headers.get("x-cache", "-")

    async def _open(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        idle = self._idle[port]
        while idle:
            reader, writer = idle.pop()
            if not (reader.at_eof() or writer.is_closing()):
                return reader, writer
            writer.transport.abort()
        return await asyncio.open_connection(HOST, port)


class Readers:
    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._connections = Connections()
        self._cold = cold_paths()
        self._lines: list[str] = []
        self._reading: set[asyncio.Task[None]] = set()

    async def come(self, kind: str, rate: float) -> None:
        """So many a second, at one process after the other."""
        due = time.monotonic()
        for number in count():
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            paths = CACHED if kind == "cached" else self._cold
            # Each path comes to each process.
            path = paths[(number // len(self._ports)) % len(paths)]
            if kind == "cold":
                path = paths[number % len(paths)]
            port = self._ports[number % len(self._ports)]
            task = asyncio.create_task(self._read(kind, port, path))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def write(self, file: Path) -> None:
        while True:
            await asyncio.sleep(WRITE_S)
            lines, self._lines = self._lines, []
            with file.open("a") as opened:
                opened.writelines(lines)

    async def _read(self, kind: str, port: int, path: str) -> None:
        began, status, cache = time.monotonic(), 0, "-"
        with suppress(OSError, EOFError, TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                status, cache = await self._connections.get(port, path)
        took_s = time.monotonic() - began
        self._lines.append(f"{began:.4f} {took_s:.4f} {port} {kind} {status} {cache} {path}\n")


async def main(file: str, ports: str, rate: str, cold_rate: str) -> None:
    readers = Readers([int(port) for port in ports.split(",")])
    tasks = [
        asyncio.create_task(readers.come("cached", float(rate))),
        asyncio.create_task(readers.come("cold", float(cold_rate))),
        asyncio.create_task(readers.write(Path(file))),
        asyncio.create_task(asyncio.to_thread(sys.stdin.read)),
    ]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
