"""TLS records made wrong by dice: of an answer, or of the handshake before it."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.raw_headers import TOKENS, Dice
from tests.providers.raw_server import Damage, answer

#: Of RFC 8446, 5.1: change of cipher, alert, handshake, data; heartbeat; none.
TYPES = (20, 21, 22, 23, 24, 0, 255)
VERSIONS = (b"\x03\x03", b"\x03\x01", b"\x03\x04", b"\x02\x00", b"\x00\x00", b"\xff\xff")
#: Levels and descriptions of alerts, some of which are none.
LEVELS, MEANINGS = (1, 2, 0, 255), (0, 10, 20, 22, 40, 42, 45, 48, 50, 51, 70, 80, 86, 112, 255)
HEADER_BYTES = 5


@dataclass(frozen=True, slots=True)
class RecordDamage:
    """What is done to the records; `is_greeting`: to those of the handshake."""

    kind: str
    is_greeting: bool
    apply: Damage


def record(content: bytes, kind: int = 23, version: bytes = b"\x03\x03") -> bytes:
    return bytes([kind]) + version + struct.pack("!H", len(content) & 0xFFFF) + content


def record_damage(dice: Dice) -> RecordDamage:
    kind = dice.choice(list(KINDS))
    return RecordDamage(kind, dice.random() < 0.4, lambda records: KINDS[kind](dice, records))


def _flipped(dice: Dice, records: bytes) -> bytes:
    """One bit."""
    at = dice.randrange(len(records))
    return records[:at] + bytes([records[at] ^ 1 << dice.randrange(8)]) + records[at + 1 :]


def _cut(dice: Dice, records: bytes) -> bytes:
    return records[: dice.randrange(len(records))]


def _of_another_type(dice: Dice, records: bytes) -> bytes:
    return bytes([dice.choice(TYPES)]) + dice.choice(VERSIONS) + records[3:]


def _of_another_length(dice: Dice, records: bytes) -> bytes:
    length = dice.choice((0, 1, 16, 17, 16_384, 16_385, 18_432, 18_433, 65_535))
    return records[:3] + struct.pack("!H", length) + records[HEADER_BYTES:]


def _alert(dice: Dice, records: bytes) -> bytes:
    """In the clear, before, behind or in place of what was to come."""
    content = bytes([dice.choice(LEVELS), dice.choice(MEANINGS)]) * dice.choice((1, 1, 2, 40))
    alert = record(content, 21, dice.choice(VERSIONS[:3]))
    return dice.choice((alert, alert + records, records + alert))


def _put_in(dice: Dice, records: bytes) -> bytes:
    """Other records before it, thousands of them at worst."""
    content = dice.choice((b"", b"\x01", b"\0" * 4, dice.randbytes(60)))
    other = record(content, dice.choice(TYPES), dice.choice(VERSIONS[:3]))
    return other * dice.choice((1, 1, 2, 33, 3_000)) + records


def _twice(dice: Dice, records: bytes) -> bytes:
    return records * dice.choice((2, 3))


def _edited(dice: Dice, records: bytes) -> bytes:
    at = dice.randrange(len(records))
    return records[:at] + (dice.choice(TOKENS) or dice.randbytes(9)) + records[at + 1 :]


def _noise(dice: Dice, _records: bytes) -> bytes:
    return dice.randbytes(dice.choice((1, 4, 5, 6, 300, 20_000)))


def _plain(dice: Dice, _records: bytes) -> bytes:
    """HTTP without TLS."""
    return dice.choice(
        (answer(b'["forged"]'), b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n")
    )


def _random_records(dice: Dice, _records: bytes) -> bytes:
    made = [
        record(dice.randbytes(dice.choice((0, 1, 30, 17_000))), dice.choice(TYPES))
        for _ in range(3)
    ]
    return b"".join(made)


KINDS: dict[str, Callable[[Dice, bytes], bytes]] = {
    "a flipped bit": _flipped,
    "cut": _cut,
    "another type": _of_another_type,
    "another length": _of_another_length,
    "an alert": _alert,
    "records put in": _put_in,
    "sent twice": _twice,
    "edited": _edited,
    "noise": _noise,
    "no TLS": _plain,
    "random records": _random_records,
}
