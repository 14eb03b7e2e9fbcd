"""The wire beneath the HTTP client, fuzzed: `python -m tests.fuzz.wire [SEED [COUNT]]`.

Each odd answer is followed by a good one to the next question on the same client. What must hold
is in `Asker`; the answers are made in `raw_answers.py`, damaged TLS in `raw_records.py`.
"""

import asyncio
import random
import re
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpcore

from backend.errors import Moved, ProviderError
from backend.providers.adapter import Adapter, Call, Reply
from backend.providers.client import ProviderClient
from backend.providers.json_body import decode_json
from backend.providers.registry import REGISTRY
from backend.providers.transport import PooledTransport
from backend.providers.tunnel import Direct
from tests.clocks import ManualClock
from tests.fuzz.raw_answers import RawAnswer, raw_answer
from tests.fuzz.raw_records import RecordDamage, record_damage
from tests.providers.raw_server import RawServer, answer, client_context, raw_server

PLAIN = Adapter("plain", ())
#: Their tables of errors read bodies and headers, too.
ADAPTERS = (*{id(spec.adapter): spec.adapter for spec in REGISTRY}.values(), PLAIN)
JSON, BYTES = Call("/x"), Call("/x", decode="bytes")
FEED = Call("/feed", decode="bytes", conditional=True)
RPC = Call("/rpc", json_body=b"[]")
CALLS = (JSON, BYTES, JSON, RPC, FEED, BYTES, JSON)
#: The servers on sockets read no request's body.
SOCKET_CALLS, TLS_CALLS = (JSON, BYTES, FEED), (JSON, BYTES)
#: Every header that a request of ours may have, and what its lines may look like.
OURS = frozenset(
    b"host user-agent accept accept-encoding connection content-type content-length"
    b" if-none-match if-modified-since".split()
)
LINE = re.compile(rb"([A-Za-z-]+): ([^\x00-\x08\x0a-\x1f\x7f]*)")
#: Answers that have not ended by then are given up: of sockets that stay open, much sooner.
TIMEOUT_S, SHORT_TIMEOUT_S = 5.0, 0.03
#: How many bytes of an answer come at a time: of one in so many, few, unless it is long.
FEW_BYTES, FEW_IN, LONG_BYTES = 7, 8, 3_000


@dataclass
class ScriptedBackend(httpcore.AsyncNetworkBackend):
    """Connections in memory: each is given the next of `answers`, in pieces, and then ends."""

    answers: deque[bytes] = field(default_factory=deque)
    requests: list[bytes] = field(default_factory=list)
    opened: int = 0
    open: int = 0

    async def connect_tcp(self, *_: Any, **__: Any) -> "ScriptedStream":
        self.opened += 1
        self.open += 1
        return ScriptedStream(self, self.answers.popleft())

    async def connect_unix_socket(self, *_: Any, **__: Any) -> "ScriptedStream":
        raise AssertionError("nobody asks for one")


class ScriptedStream(httpcore.AsyncNetworkStream):
    def __init__(self, backend: ScriptedBackend, answer: bytes) -> None:
        self._backend, self._answer, self._at, self._asked = backend, answer, 0, bytearray()
        is_slow = backend.opened % FEW_IN == 0 and len(answer) < LONG_BYTES
        self._most = FEW_BYTES if is_slow else len(answer)
        self._is_open = True

    async def read(self, max_bytes: int, *_: Any, **__: Any) -> bytes:
        piece = self._answer[self._at : self._at + min(max_bytes, self._most)]
        self._at += len(piece)
        return piece

    async def write(self, buffer: bytes, *_: Any, **__: Any) -> None:
        self._asked += buffer

    async def aclose(self) -> None:
        if self._is_open:
            self._is_open = False
            self._backend.open -= 1
            self._backend.requests.append(bytes(self._asked))

    async def start_tls(self, *_: Any, **__: Any) -> "ScriptedStream":
        return self

    def get_extra_info(self, info: str) -> Any:
        return None


@asynccontextmanager
async def client_in_memory() -> AsyncIterator[tuple[ProviderClient, ScriptedBackend]]:
    """The client as it is, but for where its connections come from."""
    backend = ScriptedBackend()
    transport = PooledTransport(client_context(), backend)
    async with ProviderClient(ManualClock(), transport) as client:
        yield client, backend


@dataclass
class Asker:
    """Asks one client. `answers` are what the server sends next, `requests` what it was sent.

    `prepare` is told before each question whether its answer shall be odd.
    """

    client: ProviderClient
    url: str
    answers: deque[bytes]
    requests: list[bytes]
    calls: Sequence[Call] = CALLS
    timeout_s: float = TIMEOUT_S
    prepare: Callable[[bool], None] = lambda _is_odd: None
    outcomes: Counter[str] = field(default_factory=Counter)

    async def check(self, odd: RawAnswer, number: int) -> None:
        """Raises AssertionError where the odd answer is more than its own failure."""
        adapter = ADAPTERS[number % len(ADAPTERS)]
        call = FEED if odd.kind == "validators" else self.calls[number % len(self.calls)]
        bodies = odd.bodies
        if call.conditional:
            base = b'{"base":%d}' % number
            await self._expect(call, answer(base, b'ETag: "base"'), base)
            bodies = bodies and (*bodies, base)
        self.prepare(True)
        try:
            outcome = await self._ask(adapter, call, odd.wire, self.timeout_s)
        except Moved as moved:
            outcome = await self._follow(adapter, moved, odd.wire)
        self.prepare(False)
        self.outcomes[f"{odd.kind}: {_name(outcome)}"] += 1
        if isinstance(outcome, Reply) and bodies is not None:
            # Compared as texts: NaN is not equal to itself.
            expected = [repr(payload_of(call, body)) for body in bodies]
            assert repr(outcome.payload) in expected, "another body"
        if call.conditional:
            await self._expect_unchanged(adapter, call, outcome, base)
        good = b'{"next":%d}' % number
        await self._expect(call, answer(good), good)
        self._check_requests()

    async def _ask(
        self, adapter: Adapter, call: Call, wire: bytes, timeout_s: float = TIMEOUT_S
    ) -> Reply | ProviderError:
        """Raises Moved, and whatever is no ProviderError."""
        self.answers.clear()
        self.answers.append(wire.replace(b"{here}", self.url.partition("//")[2].encode()))
        try:
            return await self.client.call(adapter, call, self.url, None, timeout_s)
        except Moved:
            raise
        except ProviderError as error:
            return error

    async def _follow(self, adapter: Adapter, moved: Moved, wire: bytes) -> Reply | ProviderError:
        """As the endpoint does, but once: where it leads to, the same answer waits again."""
        try:
            call = Call(moved_to=moved.location)
            return await self._ask(adapter, call, wire, self.timeout_s)
        except Moved as again:
            return again

    async def _expect(self, call: Call, wire: bytes, body: bytes) -> None:
        outcome = await self._ask(PLAIN, call, wire)
        assert isinstance(outcome, Reply), f"a good answer fails: {outcome!r}"
        assert outcome.payload == payload_of(call, body), f"not this one's: {outcome.payload!r}"

    async def _expect_unchanged(
        self, adapter: Adapter, call: Call, last: Reply | ProviderError, base: bytes
    ) -> None:
        """Unchanged is the body of a whole answer, and of the last one."""
        outcome = await self._ask(adapter, call, answer(b"", status=b"304 Not Modified"))
        if isinstance(outcome, Reply):
            right = [payload_of(call, base)]
            right += [last.payload] if isinstance(last, Reply) else []
            assert outcome.payload in right, f"unchanged since when? {outcome.payload!r}"

    def _check_requests(self) -> None:
        """Nothing of an answer is in them but a validator."""
        for request in self.requests:
            head = request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
            matches = [LINE.fullmatch(line) for line in head]
            assert all(one and one[1].lower() in OURS for one in matches), f"asked by {request!r}"
        self.requests.clear()


def payload_of(call: Call, body: bytes) -> Any:
    return decode_json(body) if call.decode == "json" else body


def _name(outcome: Reply | ProviderError) -> str:
    return "reply" if isinstance(outcome, Reply) else type(outcome).__name__


async def in_memory(numbers: Iterable[int], seed: int) -> Counter[str]:
    """What became of these answers. Raises AssertionError with the bytes that did harm."""
    async with client_in_memory() as (client, backend):
        asker = Asker(client, "http://127.0.0.1:8080", backend.answers, backend.requests)
        for number in numbers:
            await _checked(asker, raw_answer(seed, number), number, seed)
        assert backend.open == 0, f"{backend.open} connections are still open"
    return asker.outcomes


async def on_sockets(numbers: Iterable[int], seed: int, closes: bool = True) -> Counter[str]:
    """The same over TCP. The server leaves after each answer, or stays and says no more."""
    async with ProviderClient(ManualClock()) as client, raw_server(b"", closes=closes) as server:
        asker = Asker(client, server.url, server.answers, server.requests, SOCKET_CALLS)
        asker.timeout_s = TIMEOUT_S if closes else SHORT_TIMEOUT_S
        for number in numbers:
            await _checked(asker, raw_answer(seed, number), number, seed)
    return asker.outcomes


async def on_tls(numbers: Iterable[int], seed: int) -> Counter[str]:
    """Good answers in records that are damaged."""
    transport, body = PooledTransport(client_context(), Direct()), b"[" + b"1," * 40 + b"1]"
    async with (
        ProviderClient(ManualClock(), transport) as client,
        raw_server(b"", closes=True, tls=True) as server,
    ):
        asker = Asker(client, server.url, server.answers, server.requests, TLS_CALLS)
        for number in numbers:
            damage = record_damage(random.Random(f"{seed}:{number}"))
            asker.prepare = partial(_damaged, server, damage)
            await _checked(asker, RawAnswer(damage.kind, answer(body), (body,)), number, seed)
    return asker.outcomes


def _damaged(server: RawServer, damage: RecordDamage, is_odd: bool) -> None:
    server.damage = damage.apply if is_odd and not damage.is_greeting else None
    server.damage_greeting = damage.apply if is_odd and damage.is_greeting else None


async def _checked(asker: Asker, odd: RawAnswer, number: int, seed: int) -> None:
    try:
        await asker.check(odd, number)
    except Exception as error:
        told = f"answer {number} of seed {seed}, {odd.kind}: {odd.wire[:1_000]!r}"
        raise AssertionError(told) from error


#: What became of how many.
Play = Callable[[Iterable[int], int], Coroutine[None, None, Counter[str]]]
#: Each way that answers come, with its share of a hundred.
WAYS: dict[str, tuple[int, Play]] = {
    "in memory": (77, in_memory),
    "on sockets": (16, on_sockets),
    "on sockets that stay open": (1, partial(on_sockets, closes=False)),
    "by TLS": (6, on_tls),
}
COUNT = 20_000


def main(seed: int = 0, count: int = COUNT) -> None:
    began = time.process_time()
    for name, (share, ask) in WAYS.items():
        outcomes = asyncio.run(ask(range(count * share // 100), seed))
        sys.stdout.write(f"{name}:\n")
        sys.stdout.writelines(f"  {text:40}{n:6}\n" for text, n in sorted(outcomes.items()))
    took_s = time.process_time() - began
    sys.stdout.write(f"{count} answers of seed {seed}, none of harm, in {took_s:.0f} s of CPU\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
