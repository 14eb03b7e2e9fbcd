"""A worker without the gateway, which starts at once: it answers each connection with its process
id and its number. The first argument says what else it does."""

import asyncio
import logging
import os
import signal
import sys
import time
from logging.handlers import QueueHandler
from pathlib import Path
from queue import Queue

from api.server.worker import Worker
from backend.observability.log_channel import PART_BYTES
from backend.observability.logs import open_logs
from backend.redaction import Redactor

LINES = 3_000
LONG = 5 * PART_BYTES


async def serve(worker: Worker, does: str) -> None:
    ends = asyncio.Event()

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{os.getpid()} {worker.index}".encode())
        writer.close()

    def when_alone() -> None:
        loop.call_soon_threadsafe(ends.set)

    loop = asyncio.get_running_loop()
    servers = [await asyncio.start_server(answer, sock=one) for one in worker.listening]
    loop.add_signal_handler(signal.SIGTERM, ends.set)
    worker.watch(when_alone, note_death)
    worker.serves()
    logs = asyncio.create_task(log_much()) if does == "log" else None
    while not ends.is_set():
        worker.is_alive()
        await asyncio.wait([asyncio.create_task(ends.wait())], timeout=0.2)
    for server in servers:
        server.close()
    await asyncio.sleep(0.1)  # for those that connected just now
    if logs:
        await logs


def note_death(pid: int) -> None:
    with Path("deaths").open("a") as file:
        file.write(f"{pid}\n")


async def log_much() -> None:
    """As fast as the queue takes it."""
    (queueing,) = logging.getLogger().handlers
    assert isinstance(queueing, QueueHandler)
    waiting = queueing.queue
    assert isinstance(waiting, Queue)
    health = logging.getLogger("provider_health")
    health.setLevel(logging.INFO)
    for number in range(LINES):
        while waiting.qsize() > 5_000:
            await asyncio.sleep(0.01)
        health.info('{"event":"tested","number":%d,"rest":{"text":"%s"}}', number, "x" * 200)
    health.info('{"event":"long","text":"%s"}', "y" * LONG)
    logging.getLogger("gateway").info("all is logged")


def main(does: str) -> None:
    worker = Worker.of(sys.argv[2:])
    assert worker is not None
    if does == "fail" and worker.index == 1:
        sys.exit(1)
    if does == "slow":
        time.sleep(0.5)
    if does == "wrong":
        worker.says_last("invalid setting  LIMITS: lots")
        sys.exit(2)
    if does == "late" and worker.index == 1 and Path("changed").exists():
        worker.says_last("invalid setting  LIMITS: lots")
        sys.exit(2)
    with open_logs(Path("unused"), "INFO", Redactor(["secret-of-the-test"]), worker.lines):
        asyncio.run(serve(worker, does))


if __name__ == "__main__":
    main(sys.argv[1])
