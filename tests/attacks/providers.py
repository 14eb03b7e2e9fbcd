"""The world's providers, which send whatever an attack gives them to send."""

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.providers.raw_server import AUTHORITY, RawServer, listening
from tests.world import data
from tests.world.faults import WIRE_FAULTS
from tests.world.messages import Reply, Request, encoded, read_request
from tests.world.server import PROVIDERS, World

#: What the gateway calls a market list.
MARKETS = "/api/v3/coins/markets"
#: Keys that the world takes.
KEYS = {
    "CRYPTOPANIC_API_KEY": "cryptopanic-key-1",
    "NEWSAPI_API_KEY": "newsapi-key-1",
    "ETHERSCAN_API_KEY": "etherscan-key-1",
}


@dataclass(frozen=True)
class Sent:
    """Bytes in the place of a good answer; a connection that is not closed is left open."""

    content: bytes
    closes: bool = True


Spoil = Callable[[Request, Reply], Sent]


class Hostile(World):
    """A provider whose name stands in `spoilt` sends what its function makes of a good answer."""

    def __init__(self) -> None:
        super().__init__()
        self.spoilt: dict[str, Spoil] = {}
        #: Bad answers that were sent, by provider.
        self.sent: Counter[str] = Counter()
        #: Header lines of the newest questions.
        self.heard: deque[dict[str, str]] = deque(maxlen=2_000)
        #: Coins of the ranked list beyond the world's own.
        self.more_coins: list[dict[str, Any]] = []

    def unlimited(self) -> dict[str, str]:
        """No provider counts any more, and the gateway knows."""
        self.limits = dict.fromkeys(PROVIDERS, (1_000_000, 60.0))
        return {f"{name.upper()}_LIMITS": "100000/minute" for name in PROVIDERS}

    async def _connection(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                request = await read_request(reader)
                await asyncio.sleep(self.delay_s)
                fault = self._fault_of(name)
                if fault in WIRE_FAULTS:
                    self._note_call(name, request)
                    await WIRE_FAULTS[fault](self._reply(name, request, "none"), writer)
                    return
                content, closes = self.answer(name, request)
                writer.write(content)
                await writer.drain()
                if closes:
                    return

    def answer(self, name: str, request: Request) -> tuple[bytes, bool]:
        """All bytes of it, and whether the connection ends behind them."""
        fault = self._fault_of(name)
        self._note_call(name, request)
        self.heard.append(request.headers)
        if name in self.spoilt:  # a body that has not changed could not be spoilt
            request.headers.pop("if-none-match", None)
        reply = self._sound_reply(name, request, fault)
        if request.path == MARKETS and self.more_coins and reply.status == 200:
            reply.body = data.to_json(json.loads(reply.body) + self.more_coins)
        if name not in self.spoilt:
            return encoded(reply), False
        self.sent[name] += 1
        sent = self.spoilt[name](request, reply)
        return sent.content, sent.closes

    def _sound_reply(self, name: str, request: Request, fault: str) -> Reply:
        """The world's; to a question that it does not know, such as a redirect's, a refusal."""
        try:
            if request.body.lstrip()[:1] != b"{":
                return self._reply(name, request, fault)
            batch = replace(request, body=b"[" + request.body + b"]")  # JSON-RPC without a batch
            reply = self._reply(name, batch, "none")
            return replace(reply, body=data.to_json(json.loads(reply.body)[0]))
        except (LookupError, ValueError):
            return Reply(404)


class ByTls(RawServer):
    """A provider of the world behind TLS."""

    def __init__(self, world: Hostile, name: str) -> None:
        super().__init__(deque())
        self.world, self.name = world, name

    def next_answer(self) -> bytes:
        """To the last request, of which only the head is read."""
        first, *lines = self.requests[-1].decode("latin-1").strip().split("\r\n")
        url = urlsplit(first.split(" ")[1])
        named = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in named}
        request = Request(url.path, dict(parse_qsl(url.query)), headers)
        return self.world.answer(self.name, request)[0]


def by_tls(world: Hostile, name: str) -> AbstractAsyncContextManager[ByTls]:
    return listening(ByTls(world, name), tls=True)


def write_authority(folder: Path) -> str:
    """A file of the authority that the TLS providers' certificate is of."""
    path = folder / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(str(path))
    return str(path)


def with_head(reply: Reply, *lines: bytes) -> Sent:
    """The good answer, with these header lines besides."""
    head, _, body = encoded(reply).partition(b"\r\n\r\n")
    return Sent(b"\r\n".join([head, *lines]) + b"\r\n\r\n" + body, closes=False)


def raw(status: bytes, *lines: bytes, body: bytes = b"", length: int | None = None) -> Sent:
    """An answer with a length, which may be a lie."""
    said = b"Content-Length: %d" % (len(body) if length is None else length)
    kind = b"Content-Type: application/json"
    return Sent(b"\r\n".join([b"HTTP/1.1 " + status, kind, said, *lines]) + b"\r\n\r\n" + body)


def always(sent: Sent) -> Spoil:
    """These bytes, whatever was asked."""
    return lambda _request, _reply: sent


def rewritten(change: Callable[[Any], Any]) -> Spoil:
    """The good JSON after `change`, which may change it in place and give None."""

    def spoil(_request: Request, reply: Reply) -> Sent:
        value = json.loads(reply.body)
        changed = change(value)
        reply.body = data.to_json(value if changed is None else changed)
        return Sent(encoded(reply))

    return spoil


def body_of(make: Callable[[bytes], bytes]) -> Spoil:
    """The good body after `make`, as bytes."""

    def spoil(_request: Request, reply: Reply) -> Sent:
        reply.body = make(reply.body)
        return Sent(encoded(reply))

    return spoil
