"""The soak's readers, in a process of their own: so many requests a second, readers of the stream.

    python -m tests.soak.readers PORT RATE SECONDS

At the end one line of JSON says what came back. Loopback only, bounded in count and time.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from tests.benchmarks.fanout_control import run
from tests.soak.followers import follow_events, follow_frames
from tests.soak.questions import Answer, Question, Wrong, ask, judge

HOST = "127.0.0.1"
#: Connections that ask, readers of the stream by WebSocket and by SSE.
LINES, WEBSOCKETS, EVENT_STREAMS = 16, 8, 4
#: The gateway promises 4 seconds; a machine that others use too may add some.
PATIENCE_S = 10.0
MOST_TAGS, MOST_COMPLAINTS = 500, 40


@dataclass
class Findings:
    """What became of all questions; times in milliseconds."""

    counts: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    times_ms: list[float] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def complain(self, told: str) -> None:
        self.counts["wrong"] += 1
        if len(self.complaints) < MOST_COMPLAINTS:
            self.complaints.append(f"after {time.monotonic() - self.began:,.1f} s: {told}")

    def as_line(self) -> str:
        times = sorted(self.times_ms) or [0.0]
        shares = {"p50": 0.5, "p99": 0.99, "slowest": 1.0}
        latency = {name: times[int(share * (len(times) - 1))] for name, share in shares.items()}
        told = {"counts": self.counts, "complaints": self.complaints, "latency_ms": latency}
        return json.dumps(told)


class Line:
    """One connection, kept open for some questions and then left."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, method: str, path: str, etag: str | None) -> Answer:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        condition = f"If-None-Match: {etag}\r\n" if etag else ""
        self._writer.write(f"{method} {path} HTTP/1.1\r\nHost: soak\r\n{condition}\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        headers = {name.lower(): value for name, _, value in pairs}
        has_body = method != "HEAD" and int(first.split()[1]) != 304
        length = int(headers["content-length"]) if has_body else 0
        return Answer(int(first.split()[1]), headers, await self._reader.readexactly(length))

    def leave(self) -> None:
        if self._writer:
            self._writer.transport.abort() if random.random() < 0.3 else self._writer.close()
        self._reader = self._writer = None


async def keep_asking(port: int, pause_s: float, until: float, found: Findings) -> None:
    chance, tags, line = random.Random(), dict[str, str](), Line(port)
    due = time.monotonic() + chance.random() * pause_s
    while due < until:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        due += pause_s
        question = ask(chance)
        tag = tags.get(question.path) if chance.random() < 0.5 else None
        answer = await _ask_once(line, question, tag, found)
        if answer is None or chance.random() < 0.01:
            line.leave()
        if answer and "etag" in answer.headers and len(tags) < MOST_TAGS:
            tags[question.path] = answer.headers["etag"]
    line.leave()


async def _ask_once(
    line: Line, question: Question, tag: str | None, found: Findings
) -> Answer | None:
    began = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE_S):
            answer = await line.ask("GET", question.path, tag)
        found.times_ms.append((time.monotonic() - began) * 1000)
        found.counts[judge(question, answer, tag is not None)] += 1
        return answer
    except (OSError, EOFError, TimeoutError) as error:
        found.complain(f"{question.path}: {type(error).__name__} {error}")
    except (Wrong, ValueError, LookupError) as error:
        found.complain(f"{question.path}: {type(error).__name__} {error}")
    return None


async def soak(port: int, rate: float, seconds: float) -> Findings:
    found, until = Findings(), time.monotonic() + seconds
    pause_s = LINES / rate
    askers = [keep_asking(port, pause_s, until, found) for _ in range(LINES)]
    stay_s = min(20.0, seconds / 4)
    followers = [follow_frames(port, stay_s, until, found.counts) for _ in range(WEBSOCKETS)]
    followers += [follow_events(port, stay_s, until, found.counts) for _ in range(EVENT_STREAMS)]
    results = await asyncio.gather(*askers, *followers, return_exceptions=True)
    for error in [result for result in results if result is not None]:
        found.complain(f"a reader ended: {type(error).__name__} {error}")
    return found


async def main(port: str, rate: str, seconds: str) -> None:
    found = await soak(int(port), float(rate), float(seconds))
    with suppress(BrokenPipeError):
        sys.stdout.write(found.as_line() + "\n")


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
