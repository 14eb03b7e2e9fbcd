"""Raw HTTP answers made by dice: good ones made wrong, and ones that a grammar makes.

`raw_answer(seed, number)` gives the same answer each time, so that a failure is named by two
numbers.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz import raw_bodies, raw_headers
from tests.fuzz.raw_bodies import Packed
from tests.fuzz.raw_headers import Dice

CRLF = b"\r\n"


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What a server sends before it closes the connection.

    `bodies`: a success may have one of these and no other body, none at all where it is empty;
    None where any body would be right.
    """

    kind: str
    wire: bytes
    bodies: tuple[bytes, ...] | None = None


def raw_answer(seed: int, number: int) -> RawAnswer:
    """The number-th answer of that seed."""
    dice = random.Random(f"{seed}:{number}")
    (kind,) = dice.choices(list(KINDS), [weight for weight, _ in KINDS.values()])
    wire, bodies = KINDS[kind][1](dice)
    return RawAnswer(kind, wire, bodies)


#: Bytes and the bodies that may be read out of them.
Made = tuple[bytes, tuple[bytes, ...] | None]


def assembled(*headers: bytes, rest: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return CRLF.join((status, *headers)) + CRLF * 2 + rest


def framed(dice: Dice, body: bytes, *headers: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A whole answer, by length or in chunks."""
    if dice.random() < 0.6:
        length = b"Content-Length: %d" % len(body)
        return assembled(length, *headers, rest=body, status=status)
    chunks = raw_bodies.chunked(dice, body)
    return assembled(b"Transfer-Encoding: chunked", *headers, rest=chunks, status=status)


def _status(dice: Dice) -> Made:
    """An odd status line, perhaps behind informational answers."""
    body = raw_bodies.good(dice)
    before = raw_headers.informational(dice) if dice.random() < 0.3 else b""
    return before + framed(dice, body, status=raw_headers.status_line(dice)), (body,)


def _headers(dice: Dice) -> Made:
    """A good body below odd headers."""
    body = raw_bodies.good(dice)
    wire = framed(dice, body, *raw_headers.odd_headers(dice))
    return wire, None if b"content-encoding" in wire.lower() else (body,)


def _cookies(dice: Dice) -> Made:
    body = raw_bodies.good(dice)
    return framed(dice, body, *raw_headers.cookies(dice)), (body,)


def _validators(dice: Dice) -> Made:
    """Odd values that the next request might send back."""
    body = raw_bodies.good(dice)
    return framed(dice, body, *raw_headers.validators(dice)), (body,)


def _location(dice: Dice) -> Made:
    """A redirect to an odd place."""
    status = dice.choice(raw_headers.REDIRECTS)
    return framed(dice, b"", raw_headers.location(dice), status=status), ()


def _lengths(dice: Dice) -> Made:
    """A length that is wrong, huge, negative, no number, or told twice."""
    body = raw_bodies.good(dice)
    headers = raw_headers.lengths(dice, len(body))
    return assembled(*headers, rest=body), None


def _chunks(dice: Dice) -> Made:
    """Chunks with odd sizes, extensions and trailers."""
    body = raw_bodies.good(dice)
    headers = raw_headers.transfer_encodings(dice)
    return assembled(*headers, rest=raw_bodies.odd_chunks(dice, body)), None


def _encodings(dice: Dice) -> Made:
    """A body packed well or badly, under names right and wrong."""
    packed: Packed = raw_bodies.packed(dice)
    return framed(dice, packed.wire, b"Content-Encoding: " + packed.name), packed.bodies


def _behind(dice: Dice) -> Made:
    """Bytes behind a complete answer, which belong to nobody."""
    body = raw_bodies.good(dice)
    behind = dice.choice([b"\0", CRLF, dice.randbytes(40), framed(dice, b'["forged"]') * 3])
    return framed(dice, body) + behind, (body,)


def _cut(dice: Dice) -> Made:
    """A good answer that ends too early: never a part of it without a word."""
    body = raw_bodies.good(dice)
    if dice.random() < 0.4:  # of unknown length, but the compression has an end of its own
        wire = assembled(b"Content-Encoding: gzip", rest=raw_bodies.member(body))
    else:
        wire = framed(dice, body)
    return wire[: dice.randrange(len(wire))], ()


def _json(dice: Dice) -> Made:
    """Odd bodies in a sound frame."""
    body = raw_bodies.odd_json(dice)
    is_deep = body.startswith(b"[[")  # too deep to be compared
    return framed(dice, body), None if is_deep else (body,)


def _mutated(dice: Dice) -> Made:
    """A good answer, or one of the others, with some bytes put in, left out or changed."""
    kind = dice.choice([one for one in KINDS if one not in ("mutated", "noise")])
    wire = bytearray(KINDS[kind][1](dice)[0][:20_000])
    for _ in range(dice.choice((1, 1, 2, 3, 8))):
        at, length = dice.randrange(len(wire) + 1), dice.choice((0, 0, 1, 1, 2, 9, 60))
        wire[at : at + length] = dice.choice(raw_headers.TOKENS) or dice.randbytes(length)
    return bytes(wire), None


def _noise(dice: Dice) -> Made:
    """Bytes of no protocol, or of another one."""
    start = dice.choice([b"", b"", b"HTTP/1.1 200 OK\r\n", b"\x16\x03\x01", b"SSH-2.0-x\r\n"])
    return start + dice.randbytes(dice.choice((0, 1, 9, 100, 1_000, 20_000))), None


#: How often each, and what makes it.
KINDS: dict[str, tuple[int, Callable[[Dice], Made]]] = {
    "status": (8, _status),
    "headers": (10, _headers),
    "cookies": (6, _cookies),
    "validators": (8, _validators),
    "location": (20, _location),
    "lengths": (6, _lengths),
    "chunks": (8, _chunks),
    "encodings": (10, _encodings),
    "behind": (4, _behind),
    "cut": (8, _cut),
    "json": (6, _json),
    "mutated": (14, _mutated),
    "noise": (4, _noise),
}
