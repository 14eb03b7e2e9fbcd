"""Bodies made by dice: in chunks, compressed well and badly, and JSON that is odd."""

import gzip
import zlib
from dataclasses import dataclass
from functools import lru_cache

from tests.fuzz.raw_headers import TOKENS, Dice, any_bytes

#: Names under which a body is plain, and those for gzip and zlib.
PLAIN_NAMES = (
    *(b"identity", b"none", b"UTF-8", b"aws-chunked", b"binary", b"", b",", b"\xff", b"x" * 900),
    *(b"gzip2", b"bz2", b"text/plain", b"7bit", b"null"),
)
GZIP_NAMES = (
    b"gzip",
    b"gzip",
    b"gzip",
    b"x-gzip",
    b"GZip",
    b" gzip ",
    b"gzip, identity",
    b"UTF-8, gzip",
)
FOREIGN_NAMES = (b"br", b"zstd", b"compress", b"gzip, br", b"gzip, gzip", b"deflate, gzip")
MIB = 1024 * 1024
#: Megabytes that a few kilobytes become.
BOMBS = (1, 3, 5, 48)


@dataclass(frozen=True, slots=True)
class Packed:
    """A body on the wire under a name; `bodies`: what a success may unpack to, None: anything."""

    name: bytes
    wire: bytes
    bodies: tuple[bytes, ...] | None


def good(dice: Dice) -> bytes:
    """JSON rows; no two answers are alike."""
    rows = b",".join(b'{"id":"c%d","price":%d.5}' % (n, dice.randrange(10**6)) for n in range(6))
    return b"[" + rows + (b"," + rows) * (0 if dice.random() < 0.97 else 200) + b"]"


def member(body: bytes) -> bytes:
    return gzip.compress(body, 1, mtime=0)


def gzipped(dice: Dice, body: bytes) -> bytes:
    """One member, or several with a part each."""
    if dice.random() < 0.6:
        return member(body)
    at = sorted(dice.randrange(len(body) + 1) for _ in range(dice.choice((1, 2, 9))))
    parts = [body[a:b] for a, b in zip([0, *at], [*at, len(body)], strict=True)]
    return b"".join(member(part) for part in parts)


@lru_cache(maxsize=8)
def bomb(megabytes: int) -> bytes:
    return gzip.compress(b" " * (megabytes * MIB), 9, mtime=0)


@lru_cache(maxsize=8)
def many_members(count: int, text: bytes) -> bytes:
    return gzip.compress(text, 9, mtime=0) * count


def packed(dice: Dice) -> Packed:
    body, sort = good(dice), dice.random()
    if sort < 0.4:
        return _by_name(dice, body)
    if sort < 0.45:
        return _huge(dice)
    name, wire = dice.choice(GZIP_NAMES), gzipped(dice, body)
    if sort < 0.65:
        return Packed(name, wire + b"\0" * dice.choice((0, 0, 1, 500)), (body,))
    if sort < 0.8:  # cut short within its only member
        wire = member(body)
        return Packed(name, wire[: dice.randrange(1, len(wire))], ())
    return Packed(name, _damaged(dice, wire), None)


def _by_name(dice: Dice, body: bytes) -> Packed:
    """Under a name that means nothing, one of what was not asked for, or zlib's."""
    made = (
        Packed(dice.choice(PLAIN_NAMES), body, (body,)),
        Packed(dice.choice(FOREIGN_NAMES), gzipped(dice, body), None),
        Packed(b"deflate", zlib.compress(body, 1), (body,)),
    )
    return dice.choice(made)


def _huge(dice: Dice) -> Packed:
    """Bombs, and members without end."""
    one, blanks = bomb(BOMBS[0]), bomb(dice.choice(BOMBS[1:]))
    wire = dice.choice(
        (
            blanks,
            one * 9,
            many_members(1_500, b""),
            many_members(900, b" "),
            blanks[:-9],
            b"\0" * 9_999,
        )
    )
    return Packed(b"gzip", wire, None)


def _damaged(dice: Dice, wire: bytes) -> bytes:
    at = dice.randrange(len(wire))
    token = dice.choice(TOKENS) or dice.randbytes(4)
    return wire[:at] + token + wire[at + dice.choice((0, 1, len(token))) :]


def chunked(dice: Dice, body: bytes) -> bytes:
    """As it should be."""
    pieces, most = [], dice.choice((60, 100, 1_000, 60_000) if len(body) > 999 else (7, 100, 1_000))
    while body:
        size = dice.randrange(1, most)
        pieces.append(b"%x\r\n%b\r\n" % (len(body[:size]), body[:size]))
        body = body[size:]
    return b"".join(pieces) + b"0\r\n\r\n"


def odd_chunks(dice: Dice, body: bytes) -> bytes:
    """With a size, an extension, an end of line or a trailer that is wrong."""
    size = b"%x" % len(body)
    sizes = (
        *(size.upper(), b"0" * 15 + size, b"0" * 30 + size, b"-1", b"", b"g", b" " + size),
        *(
            b"f" * 16,
            b"f" * 20,
            b"f" * 5_000,
            b"0x" + size,
            size + b" ",
            b"7fffffffffffffff",
            b"\xb2",
        ),
        *(b"%x" % (len(body) + 1), b"%x" % (len(body) - 1), b"+" + size, b"1_0"),
    )
    extensions = (
        *(b";a=b", b";" + b"x" * 9_000, b';a="\r\n"', b";\xff", b";" * 300, b" ;\0", b"\t"),
        any_bytes(dice, 30),
    )
    ends = (b"\n", b"\r", b"", b" \r\n", b"\r\n\r\n")
    last = (b"00000\r\n", b"0;x=y\r\n", b"", b"-0\r\n", b"0")
    trailers = (
        *(b"X: 1\r\n\r\n", b"Set-Cookie: a=\xff\r\n\r\n", b"", b"\0\r\n\r\n", b"bad\r\n\r\n"),
        *(b"X: y\r\n" * 3_000 + b"\r\n", b"X: " + b"x" * 70_000 + b"\r\n\r\n", b" fold\r\n\r\n"),
        *(b"Content-Length: 1\r\n\r\n", dice.randbytes(20) + b"\r\n\r\n"),
    )
    good = (size, b"", b"\r\n", b"\r\n", b"0\r\n", b"\r\n")
    odd = zip(good, (sizes, extensions, ends, ends, last, trailers), strict=True)
    drawn = [dice.choice(choices) if dice.random() < 0.25 else right for right, choices in odd]
    return b"".join((*drawn[:3], body, *drawn[3:]))


ODD_JSON = (
    *(
        b"",
        b" ",
        b"null",
        b"true",
        b"0",
        b'""',
        b"{}",
        b"[]",
        b"\0" * 99,
        b"\xff" * 99,
        b"[" * 9_000,
    ),
    *(b'{"a":' * 9_000, b"[" * 1_000 + b"]" * 1_000, b'"' + b"\\" * 9_999, b"[1e400]", b"[NaN]"),
    *(b"[-0]", b"9" * 9_000, b"[1,]", b'{"a":1,"a":2}', b"[Infinity]", b"[1e-400]", b'"\\ud800"'),
    *(
        b"\xef\xbb\xbf[1]",
        b"\xff\xfe[\0]\0",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\xef\xbb\xbf[1]",
        b'{"":""}',
    ),
    *(
        b'["\\udc00\\ud800"]',
        b'["\\ud83d\\ude80"]',
        b'["\\\\ud800"]',
        b'["\xed\xa0\x80"]',
        b'["\xc3"]',
    ),
    *(
        b'["\\u0000\\u001b[31m\\n"]',
        b"<html>soon</html>",
        b"<?xml?><rss>",
        b'{"error":"daily quota"}',
    ),
    *(b'{"status":{"error_code":1e999}}', b'{"code":-1003,"msg":"banned until 99999999999999999"}'),
    *(b'["' + b"\\ud800" * 20_000 + b'"]', b'["' + b"\\\\" * 50_000 + b"\\udc00" + b'"]'),
)


def odd_json(dice: Dice) -> bytes:
    if dice.random() < 0.5:
        return dice.choice(ODD_JSON)
    body = good(dice)
    at = dice.randrange(len(body))
    return (
        body[:at] + (dice.choice(TOKENS) or dice.randbytes(3)) + body[at + dice.choice((0, 1, 5)) :]
    )
