"""A1 to A4: cookies, validators, redirects and TLS records as no provider should send them."""

import asyncio
import random
from collections.abc import Iterator
from itertools import count, cycle

from tests.attacks.attack import Tally
from tests.attacks.providers import Sent, raw, with_head
from tests.attacks.reading import read_for
from tests.attacks.wire.scene import LOSS, SEED, WireField, attack, heal, play
from tests.world.messages import Reply, Request


@attack("A1", "`Set-Cookie` with a byte over 127", loss=LOSS)
async def foreign_cookie(field: WireField, tally: Tally) -> None:
    lines = cycle(
        (
            b"Set-Cookie: city=Z\xc3\xbcrich; Path=/",
            b"Set-Cookie: \xff\xfe=\x80",
            b"Set-Cookie: a=1; Expires=\xe9\xe9",
        )
    )
    await play(field, tally, lambda _q, reply: with_head(reply, next(lines)), tally.times(6, 1))


@attack(
    "A1",
    "50 kB of cookies with each answer",
    loss=f"a cookie that is sent back; {LOSS}",
)
async def many_cookies(field: WireField, tally: Tally) -> None:
    numbers = count()

    def spoil(_request: Request, reply: Reply) -> Sent:
        return with_head(reply, *(b"Set-Cookie: c%d=%b" % (next(numbers), b"x" * 4_000),) * 12)

    field.world.heard.clear()
    await play(field, tally, spoil, tally.times(6, 2))
    back = [head["cookie"] for head in field.world.heard if "cookie" in head]
    tally.expect(not back, f"{len(back)} questions carried cookies")


@attack("A2", "`ETag` or `Last-Modified` with a byte over 127", loss=LOSS)
async def foreign_validators(field: WireField, tally: Tally) -> None:
    lines = cycle(
        (
            b'ETag: "caf\xc3\xa9"',
            b"Last-Modified: Thu, 26 N\xf6v 2026 06:42:17 GMT",
            b"ETag: \xff\x00",
            b'ETag: "' + b"e" * 5_000 + b'"',
            b"ETag: \x80\r\nLast-Modified: \x80",
        )
    )

    def spoil(_request: Request, reply: Reply) -> Sent:
        reply.headers.pop("ETag", None)
        return with_head(reply, next(lines))

    await play(field, tally, spoil, tally.times(5, 2))


ODD_LOCATIONS = (
    b"javascript:x",
    b"data:,x",
    b"mailto:a@b.c",
    b"http://xn--/",
    b"http://[::1",
    b"//",
    b"http://a b/",
    b"\xff\xfe",
    b"http://127.0.0.1:99999/",
    b"http://127.0.0.1:-1/",
    b"https://\xe9.example/",
    b"?" + b"a" * 9_000,
    b"",
    b"http://user:pass@127.0.0.1/",
    b"file:///etc/passwd",
)


def odd_locations() -> Iterator[bytes]:
    """The named ones, and then random ones without end."""
    yield from ODD_LOCATIONS
    made = random.Random(SEED)
    starts = (b"", b"/", b"//", b"http:", b"http://", b"https://[", b"xn--", b"http://xn--", b"?")
    while True:
        rest = bytes(
            made.choice(b"ab0-._~:/?#[]@!$&'()*+,;=% \xc3\xa9\x80\xff\t")
            for _ in range(made.randrange(24))
        )
        yield made.choice(starts) + rest


@attack(
    "A3",
    "a redirect to `javascript:`, `data:`, `mailto:`, half an address, random bytes",
    loss=f"a redirect to another host that is followed; {LOSS}",
)
async def odd_redirects(field: WireField, tally: Tally) -> None:
    callers: list[str] = []

    async def note(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append("somebody")
        writer.close()

    async with await asyncio.start_server(note, "127.0.0.1", 0) as elsewhere:
        port = elsewhere.sockets[0].getsockname()[1]
        places, numbers = odd_locations(), count()

        def spoil(_request: Request, _reply: Reply) -> Sent:
            place = next(places)
            if next(numbers) % 5 == 4:
                place = b"http://127.0.0.1:%d/stolen" % port
            return raw(b"302 Found", b"Location: " + place)

        await play(field, tally, spoil, tally.times(16, 4))
    tally.expect(not callers, "a redirect to another host was followed")


@attack("A4", "one damaged TLS record", loss=LOSS)
async def damaged_records(field: WireField, tally: Tally) -> None:
    made = random.Random(SEED)
    damaged = 0

    def damage(record: bytes) -> bytes:
        nonlocal damaged
        damaged += 1
        place = made.randrange(5, len(record))
        return (
            record[:place] + bytes([record[place] ^ 1 << made.randrange(8)]) + record[place + 1 :]
        )

    names = "rss_cointelegraph", "etherscan_backup"
    field.world.faults = {}  # etherscan_backup has its turns now
    for server in field.tls:
        server.damage = damage
    enough = tally.times(30, 4)
    seen = await read_for(field.gateway, 6.0, ("news", "gas"), until=lambda: damaged >= enough)
    for server in field.tls:
        server.damage = None
    tally.tries += damaged
    tally.expect(damaged >= 2, "TLS was not reached")
    seen.tell(tally)
    await heal(field, tally, names)
