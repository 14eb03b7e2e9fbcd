"""A: answers that are hardly any, and answers without an end."""

import random
from collections import Counter
from collections.abc import Callable
from itertools import cycle

from tests.attacks.attack import Tally
from tests.attacks.providers import Sent
from tests.attacks.reading import read_for
from tests.attacks.wire.scene import ASIDE, LOSS, SEED, WireField, attack, heal, play
from tests.world.messages import Reply, Request

#: Of a good body, all that is sent.
Make = Callable[[bytes], bytes]


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"
LENGTHS = (b"-1", b"1e3", b"0x10", b"9" * 30, b"", b"1, 2")
SIZES = (b"-1", b"zz", b"F" * 40, b"")


class OddAnswers:
    """Heads, lengths, chunks and lines as nobody should write them, in turn."""

    def __init__(self, made: random.Random) -> None:
        self._made = made
        self._kinds = cycle((*self._heads(), *self._bodies()))

    def __call__(self, _request: Request, reply: Reply) -> Sent:
        return Sent(next(self._kinds)(reply.body))

    def _noise(self, most: int) -> bytes:
        return self._made.randbytes(self._made.randrange(most))

    def _heads(self) -> tuple[Make, ...]:
        return (
            lambda _body: self._noise(400),
            lambda body: b"HTTP/1.1 %b OK\r\n\r\n" % self._noise(5) + body,
            lambda body: HEAD + self._noise(60) + b"\r\n\r\n" + body,
            lambda body: b"HTTP/0.9 200\r\n\r\n" + body,
            lambda body: b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + body,
            lambda body: b"HTTP/1.1 204 No Content\r\n\r\n" + body,
            lambda body: b"HTTP/1.1 304 Not Modified\r\n\r\n" + body,
            lambda _body: b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n",
            lambda body: HEAD + b"X: " + b"x" * 200_000 + b"\r\n\r\n" + body,
            lambda body: HEAD + b"x: y\r\n" * 5_000 + b"\r\n" + body,
            lambda body: HEAD + b" folded: yes\r\n\tmore\r\n\r\n" + body,
            lambda body: b"HTTP/1.1 100 Continue\r\n\r\n" * 200 + HEAD + b"\r\n" + body[:90],
        )

    def _bodies(self) -> tuple[Make, ...]:
        choice = self._made.choice
        return (
            lambda body: HEAD + b"Content-Length: " + choice(LENGTHS) + b"\r\n\r\n" + body,
            lambda body: HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + body,
            lambda body: CHUNKED + b"Content-Length: 4\r\n\r\n4\r\n" + body + b"\r\n0\r\n\r\n",
            lambda body: CHUNKED + b"\r\n" + choice(SIZES) + b"\r\n" + body,
            lambda body: HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + body,
            lambda body: body,
            lambda _body: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            lambda _body: b"",
        )


@attack("A", "answers of random bytes, heads, lengths and chunks", loss=LOSS)
async def random_answers(field: WireField, tally: Tally) -> None:
    await play(field, tally, OddAnswers(random.Random(SEED)), tally.times(24, 5))


@attack(
    "A",
    "an answer without an end: dripped, 400 MB, a gzip bomb, none at all",
    loss=f"an answer after the deadline of 4 s; {LOSS}",
)
async def endless_answers(field: WireField, tally: Tally) -> None:
    calls, names = field.world.calls, ("coingecko_free", "rss_coindesk", "alternative_me")
    for fault in ("drip", "endless", "gzip_bomb", "silence")[: tally.times(4, 2)]:
        before = calls.copy()

        def are_asked(before: Counter[str] = before) -> bool:
            return all(calls[name] > before[name] for name in names[::2])

        field.world.faults = ASIDE | dict.fromkeys(names, fault)
        # Who waits for a slow one is told what was known.
        seen = await read_for(
            field.gateway, 4.0, ("market", "sentiment"), stale=True, until=are_asked
        )
        tally.tries += sum(calls[name] - before[name] for name in names)
        seen.tell(tally)
        await heal(field, tally, names)
