"""The metrics of all workers of a machine: whoever is scraped answers for all.

A scrape asks the other workers over the bus of the cluster, and adds what they answer in time. Each
sample gets the label `process`, the worker's number.
"""

import asyncio
import os
import re
import socket
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from prometheus_client import CollectorRegistry, generate_latest
from pydantic import BaseModel, Field, ValidationError

from backend.cluster.contract import Bus

#: A scrape waits for other workers this long, in seconds.
WAIT_S = 0.2
#: Largest text of a worker, in bytes: many times that of a busy one.
MOST_BYTES = 4 * 1024 * 1024

_LABEL = r'[a-zA-Z_]\w*="(?:[^"\\]|\\.)*"'
_VALUE = r"[-+]?(?:\d[\d.e+-]*|Inf|NaN)"
_SAMPLE = re.compile(rf"([a-zA-Z_:][\w:]*)(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? ({_VALUE})", re.ASCII)
_HEAD = re.compile(r"# (HELP|TYPE) ([a-zA-Z_:][\w:]*) .*", re.ASCII)


def machine_id() -> str:
    """Equal in all workers of one supervisor, and in no other process."""
    return f"{socket.gethostname()}/{os.getppid()}"


class _Head(BaseModel):
    """The first line of a message. A question has nothing behind it, an answer the packed text."""

    machine: str
    worker: int = Field(ge=0, lt=64)
    question: str = Field(max_length=40)


@dataclass(slots=True)
class _Scrape:
    """The texts that came, by worker."""

    expected: int
    texts: dict[int, str] = field(default_factory=dict)
    is_complete: asyncio.Event = field(default_factory=asyncio.Event)


class WorkerMetrics:
    """Answers scrapes, and the questions of other workers of the same machine."""

    def __init__(
        self,
        own: CollectorRegistry,
        bus: Bus,
        *,
        worker: int,
        workers: int,
        is_connected: Callable[[], bool],
        machine: str | None = None,
    ) -> None:
        """`own` has this worker's metrics. `workers` is the number of workers of this machine,
        `worker` that of this one, from 0."""
        self._own = own
        self._bus = bus
        self._worker = worker
        self._workers = workers
        self._is_connected = is_connected
        self._machine = machine_id() if machine is None else machine
        self._numbers = count(1)
        self._scrapes: dict[str, _Scrape] = {}
        #: Answers that were dropped, as they were malformed or too large.
        self.malformed = 0
        bus.subscribe("metrics", self._on_message)

    def __repr__(self) -> str:
        return f"<WorkerMetrics {self._worker} of {self._workers}>"

    async def read(self) -> bytes:
        """The text of all workers that answer in time; while the store is away, of this one."""
        others = await self._ask() if self._is_connected() else {}
        texts = {self._worker: generate_latest(self._own).decode(), **others}
        return merged({number: texts[number] for number in sorted(texts)}).encode()

    async def _ask(self) -> Mapping[int, str]:
        question = f"{self._worker}-{next(self._numbers)}"
        scrape = self._scrapes[question] = _Scrape(self._workers - 1)
        try:
            self._send(question)
            async with asyncio.timeout(WAIT_S):
                await scrape.is_complete.wait()
        except TimeoutError:
            pass  # a worker that starts, or is busy, is left out
        finally:
            del self._scrapes[question]
        return scrape.texts

    def _send(self, question: str, text: bytes = b"") -> None:
        head = _Head(machine=self._machine, worker=self._worker, question=question)
        body = zlib.compress(text, 1) if text else b""
        self._bus.publish("metrics", head.model_dump_json().encode() + b"\n" + body)

    def _on_message(self, _sender: str, message: bytes) -> None:
        line, _, body = message.partition(b"\n")
        try:
            head = _Head.model_validate_json(line)
        except ValidationError:
            self.malformed += 1
            return
        if head.machine != self._machine or head.worker == self._worker:
            return
        if not body:
            self._send(head.question, generate_latest(self._own))
        elif scrape := self._scrapes.get(head.question):
            self._add(scrape, head.worker, body)

    def _add(self, scrape: _Scrape, worker: int, body: bytes) -> None:
        try:
            text = _unpacked(body)
        except (ValueError, zlib.error):
            self.malformed += 1
            return
        scrape.texts.setdefault(worker, text)
        if len(scrape.texts) >= scrape.expected:
            scrape.is_complete.set()


def merged(texts: Mapping[int, str]) -> str:
    """One text of those of several workers: each family once, its samples with `process`.

    Parsed by line, as a text of 600 series takes 10 ms in prometheus_client's parser, in which the
    event loop would serve nobody. Lines that are not of the format are left out.
    """
    heads: dict[str, dict[str, str]] = {}
    samples: dict[str, list[str]] = {}
    for number, text in texts.items():
        label, family, is_other = f'process="{number}"', "", False
        for line in text.split("\n"):
            if head := _HEAD.fullmatch(line):
                kind, family = head.groups()
                known = heads.setdefault(family, {}).setdefault(kind, line)
                is_other = kind == "TYPE" and known != line  # of another version
            elif not is_other and (sample := _SAMPLE.fullmatch(line)):
                name, labels, value = sample.groups()
                if family and name.startswith(family):
                    inner = f"{label},{labels}" if labels else label
                    samples.setdefault(family, []).append(f"{name}{{{inner}}} {value}")
    lines = [
        line
        for family, head in heads.items()
        for line in (*head.values(), *samples.get(family, ()))
    ]
    return "\n".join([*lines, ""])


def _unpacked(body: bytes) -> str:
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(body, MOST_BYTES)
    if not unpacker.eof:
        raise ValueError("the text is cut or too large")
    return text.decode()
