"""What a WebSocket server may send, made by dice: answers to a handshake, and frames behind it."""

import base64
import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.fuzz import raw_answers, raw_bodies, raw_headers
from tests.fuzz.raw_headers import TOKENS, Dice, any_bytes

#: Of RFC 6455, 1.3: what a server adds to the key that it accepts.
ACCEPTED = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FIN = 0x80
CLOSE_CODES = (0, 999, 1000, 1001, 1005, 1006, 1007, 1012, 1015, 2999, 3000, 4999, 5000, 65_535)


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """All that a server sends, made from the key of the handshake, before it goes."""

    kind: str
    made: Callable[[bytes], bytes]


def push_answer(dice: Dice) -> PushAnswer:
    """Half of them greet as they should, and then send odd frames."""
    if dice.random() < 0.5:
        kind = dice.choice(list(FRAMES))
        count = dice.choice((1, 1, 2, 5))
        return PushAnswer(
            kind, partial(_greeted, b"".join(FRAMES[kind](dice) for _ in range(count)))
        )
    kind = dice.choice(list(GREETINGS))
    return PushAnswer(kind, partial(GREETINGS[kind], dice))


def accepted(key: bytes) -> bytes:
    return base64.b64encode(hashlib.sha1(key + ACCEPTED, usedforsecurity=False).digest())


def greeting(key: bytes, *headers: bytes, status: bytes = b"HTTP/1.1 101 Go") -> bytes:
    lines = (
        *(status, b"Upgrade: websocket", b"Connection: Upgrade"),
        *(b"Sec-WebSocket-Accept: " + accepted(key), *headers),
    )
    return b"\r\n".join(lines) + b"\r\n\r\n"


def frame(payload: bytes, head: int = FIN | TEXT) -> bytes:
    """As it should be."""
    return bytes([head]) + _length(len(payload)) + payload


def _length(size: int) -> bytes:
    if size < 126:
        return bytes([size])
    return struct.pack("!BH", 126, size) if size < 65_536 else struct.pack("!BQ", 127, size)


def _greeted(frames: bytes, key: bytes) -> bytes:
    return greeting(key) + frames


def _odd_head(dice: Dice) -> bytes:
    """Any bits, operation and mask."""
    return frame(raw_bodies.good(dice), dice.randrange(256))


def _odd_length(dice: Dice) -> bytes:
    lengths = (
        *(
            b"\x7e\x00\x01",
            b"\x7f" + bytes(7) + b"\x01",
            b"\x7f" + b"\xff" * 8,
            b"\x7f\x7f" + b"\xff" * 7,
        ),
        *(
            b"\x7f" + struct.pack("!Q", 5 * raw_bodies.MIB),
            b"\xff" + b"\xff" * 8,
            b"\xfe\xff\xff",
            b"\x7e",
        ),
        *(bytes([dice.randrange(256)]), b"\x80\x01\x02\x03\x04"),
    )
    return bytes([FIN | dice.choice((TEXT, BINARY, CLOSE, PING))]) + dice.choice(lengths) + b"[1]"


def _odd_text(dice: Dice) -> bytes:
    payload = raw_bodies.odd_json(dice) if dice.random() < 0.7 else any_bytes(dice, 300)
    return frame(payload, FIN | dice.choice((TEXT, TEXT, BINARY)))


def _fragments(dice: Dice) -> bytes:
    """Of one text, with an end or without, and others between them."""
    first = frame(b'["', dice.choice((TEXT, BINARY, 0)))
    rest = frame(dice.choice((b"", b"x", b"\xc3")), 0) * dice.choice((0, 1, 3, 900))
    between = dice.choice((b"", frame(b"", FIN | PING), frame(b"[]"), frame(b"", FIN | CLOSE)))
    return first + rest + between + dice.choice((b"", frame(b'"]', FIN)))


def _control(dice: Dice) -> bytes:
    """Pings and pongs, too large ones, and thousands of them."""
    payload = dice.choice((b"", b"x", bytes(125), bytes(126), b"\xff" * 9))
    one = frame(payload, dice.choice((FIN, FIN, 0)) | dice.choice((PING, PONG)))
    return one * dice.choice((1, 1, 3, 2_000))


def _close(dice: Dice) -> bytes:
    code = struct.pack("!H", dice.choice(CLOSE_CODES))
    reason = dice.choice((b"", b"bye", b"\xff", b"\xc3", bytes(123), bytes(200)))
    payload = dice.choice((code + reason, code[:1], b"", code))
    return frame(payload, FIN | CLOSE) + dice.choice((b"", frame(b"[1]"), dice.randbytes(9)))


def _cut(dice: Dice) -> bytes:
    whole = frame(raw_bodies.good(dice))
    return whole[: dice.randrange(len(whole))]


def _edited(dice: Dice) -> bytes:
    kind = dice.choice([one for one in FRAMES if one != "edited frames"])
    wire = FRAMES[kind](dice)[:20_000] or b"\x81"
    at = dice.randrange(len(wire))
    return (
        wire[:at] + (dice.choice(TOKENS) or dice.randbytes(4)) + wire[at + dice.choice((0, 1, 9)) :]
    )


def _noise(dice: Dice) -> bytes:
    return dice.randbytes(dice.choice((0, 1, 2, 60, 9_000)))


FRAMES: dict[str, Callable[[Dice], bytes]] = {
    "odd heads": _odd_head,
    "odd lengths": _odd_length,
    "odd texts": _odd_text,
    "fragments": _fragments,
    "control frames": _control,
    "close frames": _close,
    "cut frames": _cut,
    "edited frames": _edited,
    "noise for frames": _noise,
}


def _of_http(dice: Dice, _key: bytes) -> bytes:
    """An answer of those that the HTTP client meets."""
    return raw_answers.raw_answer(dice.randrange(2**32), 0).wire


def _odd_status(dice: Dice, key: bytes) -> bytes:
    before = raw_headers.informational(dice) if dice.random() < 0.3 else b""
    return before + greeting(key, status=raw_headers.status_line(dice))


def _odd_headers(dice: Dice, key: bytes) -> bytes:
    return greeting(key, *raw_headers.odd_headers(dice)) + frame(b"[1]")


def _odd_agreements(dice: Dice, key: bytes) -> bytes:
    """What nobody offered, what is told twice, what is none."""
    names = (b"Sec-WebSocket-Extensions", b"Sec-WebSocket-Protocol", b"Sec-WebSocket-Accept")
    values = (
        *(b"permessage-deflate", b"permessage-deflate; server_max_window_bits=99", b"x-webkit"),
        *(b"", b",", b";", b'"', b"\xff", b"chat", accepted(key), any_bytes(dice, 40), b"=" * 900),
    )
    header = dice.choice((*names, b"Upgrade", b"Connection")) + b": " + dice.choice(values)
    return greeting(key, header) + frame(b"[1]")


def _without(dice: Dice, key: bytes) -> bytes:
    """One line of it is missing, or wrong."""
    lines = greeting(key).split(b"\r\n")
    at = dice.randrange(len(lines))
    lines[at : at + 1] = dice.choice(([], [any_bytes(dice, 40)], [lines[at]] * 2, [lines[at][:-1]]))
    return b"\r\n".join(lines)


def _edited_greeting(dice: Dice, key: bytes) -> bytes:
    wire = greeting(key) + frame(b"[1]")
    at = dice.randrange(len(wire))
    return (
        wire[:at] + (dice.choice(TOKENS) or dice.randbytes(4)) + wire[at + dice.choice((0, 1, 9)) :]
    )


def _cut_greeting(dice: Dice, key: bytes) -> bytes:
    wire = greeting(key)
    return wire[: dice.randrange(len(wire))]


def _redirect(dice: Dice, _key: bytes) -> bytes:
    status = dice.choice(raw_headers.REDIRECTS)
    return raw_answers.framed(dice, b"", raw_headers.location(dice), status=status)


GREETINGS: dict[str, Callable[[Dice, bytes], bytes]] = {
    "HTTP": _of_http,
    "odd status": _odd_status,
    "odd headers": _odd_headers,
    "odd agreements": _odd_agreements,
    "a line is wrong": _without,
    "edited greeting": _edited_greeting,
    "cut greeting": _cut_greeting,
    "redirects": _redirect,
}
