"""Status lines and headers made by dice: of any byte, of any size, many times over."""

import random
from collections.abc import Sequence

Dice = random.Random
#: What breaks readers of HTTP, of addresses, of JSON; an empty one stands for random bytes.
TOKENS = (
    *(b"", b"", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b"\x00\xff", b"\x7f", b" ", b"\t", b":"),
    *(b"\xc3\xa9", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\ud800", b"%", b"%00", b"%zz"),
    *(
        b"0\r\n\r\n",
        b"-1",
        b"9" * 5_000,
        b"1e9",
        b"\r\n ",
        b";",
        b",",
        b"=",
        b'"',
        b"\\",
        b"[",
        b"]",
    ),
    *(b"HTTP/1.1 200 OK\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n"),
)
NAMES = (
    *(b"Content-Type", b"Server", b"X-A", b"Connection", b"Keep-Alive", b"Upgrade", b"Date"),
    *(b"Retry-After", b"Age", b"Vary", b"Link", b"Content-Encoding", b"Content-Length", b"Trailer"),
    *(b"Transfer-Encoding", b"X-MBX-USED-WEIGHT-1M", b"Alt-Svc", b"Proxy-Authenticate"),
    *(b"X-" + b"n" * 3_000, b"Set-Cookie", b"Location", b"Refresh", b"Content-Disposition"),
)
NO_NAMES = (b"", b" ", b"a b", b"\xff", b"X:Y", b"\0", b" X", b"X\t")
VALUES = (
    *(b"", b" ", b"close", b"keep-alive", b"chunked", b"gzip", b"h2c, websocket", b"0", b"-1"),
    *(
        b"120",
        b"1e999",
        b"9" * 400,
        b"NaN",
        b"Fri, 31 Dec 9999 23:59:59 -2359",
        b"application/json",
    ),
    *(b"Thu, 99 Foo 99999 00:00:00 GMT", b"a\x01b", b"\xc3\xa9", b"\xff", b"x" * 9_000, b"100%"),
    *(b"folded\r\n next", b"daily quota", b'text/html; charset="\xff"', b"a\rb", b"\t\x0b\x0c"),
)
REDIRECTS = tuple(
    b"HTTP/1.1 " + one
    for one in (b"301 Moved", b"302 Found", b"303 See", b"307 Temporary", b"308 Permanent")
)


def any_bytes(dice: Dice, most: int) -> bytes:
    """Without the ends of lines, which would end the header."""
    raw = dice.randbytes(dice.randrange(most + 1)).replace(b"\r", b"").replace(b"\n", b"")
    return raw if dice.random() < 0.3 else raw.replace(b"\0", b"")


def status_line(dice: Dice) -> bytes:
    versions = (b"HTTP/1.0", b"HTTP/2", b"HTTP/0.9", b"ICY", b"http/1.1", b"HTTP/1.1 ", b"HTTP/9.9")
    codes = (200, 200, 200, 201, 204, 206, 304, 400, 401, 403, 404, 418, 429, 451, 500, 503, 999)
    odd = (b"", b"0", b"99", b"1000", b"-200", b"2e2", b"\xb2\xb0\xb0", b"20", b"101", b"102")
    version = b"HTTP/1.1" if dice.random() < 0.8 else dice.choice(versions)
    code = b"%d" % dice.choice(codes) if dice.random() < 0.9 else dice.choice(odd)
    reasons = (b"OK", b"", b"\xc3\xa9t\xc3\xa9", b"\0", b"x" * 2_000, any_bytes(dice, 60), b"a\tb")
    separator = b" " if dice.random() < 0.9 else dice.choice((b"  ", b"", b"\t"))
    return version + separator + code + separator + dice.choice(reasons)


def informational(dice: Dice) -> bytes:
    """Answers before the answer: any number of any of them."""
    codes = (b"100 Continue", b"103 Early Hints", b"102 ", b"199 x", b"101 Switching Protocols")
    hints = (b"", b"Link: </a>; rel=preload\r\n", b"Set-Cookie: a=\xff\r\n", b"X: \0\r\n")
    one = b"HTTP/1.1 " + dice.choice(codes) + b"\r\n" + dice.choice(hints) + b"\r\n"
    return one * dice.choice((1, 1, 2, 5, 100))


def odd_headers(dice: Dice) -> list[bytes]:
    count = dice.choice((1, 1, 2, 3, 5, 5, 101, 1_000) if dice.random() < 0.3 else (1, 2, 3))
    found = [_odd_header(dice) for _ in range(min(count, 20))]
    return found * (count // 20 or 1)


def _odd_header(dice: Dice) -> bytes:
    name = dice.choice(NAMES) if dice.random() < 0.9 else dice.choice(NO_NAMES)
    value = dice.choice(VALUES) if dice.random() < 0.7 else any_bytes(dice, 80)
    return name + (b": " if dice.random() < 0.9 else dice.choice((b":", b" : ", b""))) + value


def cookies(dice: Dice) -> list[bytes]:
    """Cookies with every attribute wrong, many or large."""
    values = (b"a=b", b"city=Z\xc3\xbcrich", b"=", b"", b"a=" + b"x" * 40_000, any_bytes(dice, 100))
    attributes = (
        *(b"; Path=/", b"; Domain=.example", b"; Domain=\xff", b"; Max-Age=1e999", b"; Secure"),
        *(b"; Expires=Thu, 99 Foo 99999 00:00:00 GMT", b"; SameSite=\x01", b"; =", b";" * 50, b""),
    )
    one = b"Set-Cookie: " + dice.choice(values) + dice.choice(attributes) + dice.choice(attributes)
    return [one, *(_odd_cookie(dice) for _ in range(dice.choice((0, 0, 1, 9))))]


def _odd_cookie(dice: Dice) -> bytes:
    return b"Set-Cookie: %d=%b" % (dice.randrange(9_999), any_bytes(dice, 60))


def validators(dice: Dice) -> list[bytes]:
    tags = (
        *(
            b'"a"',
            b'W/"a"',
            b'"caf\xc3\xa9"',
            b"caf\xc3\xa9",
            b'"',
            b"",
            b'"a"b"',
            b"*",
            b'"a\x01b"',
        ),
        *(b'"' + b"x" * 5_000 + b'"', b'"a"\r\n b', b'"\\"', any_bytes(dice, 40)),
        *(b'"' + any_bytes(dice, 40) + b'"', b"W/", b'"\xff\xfe"', b'"a", "b"'),
    )
    dates = (
        *(b"Sun, 06 Nov 1994 08:49:37 GMT", b"M\xc3\xa4rz", b"1" * 5_000, b"0", b"", b"\0"),
        *(any_bytes(dice, 40), b"Sun, 06 Nov 1994 08:49:37 GMT\r\n X-Injected: 1", b"tomorrow"),
    )
    found = []
    if dice.random() < 0.8:
        found += [b"ETag: " + dice.choice(tags)] * dice.choice((1, 1, 1, 2))
    if dice.random() < 0.6:
        found += [b"Last-Modified: " + dice.choice(dates)] * dice.choice((1, 1, 1, 2))
    return found


def lengths(dice: Dice, true: int) -> list[bytes]:
    texts = (
        *(b"%d" % (true - 1), b"%d" % (true + 1), b"%d" % (true + 10**9), b"0", b"-1", b"-0", b""),
        *(
            b"%d, %d" % (true, true),
            b"%d, 3" % true,
            b"0x10",
            b"1e3",
            b"%d.0" % true,
            b"+%d" % true,
        ),
        *(
            b"9" * 19,
            b"9" * 20,
            b"9" * 5_000,
            b"\xc2\xb2",
            b" %d " % true,
            b"%d;" % true,
            b"00%d" % true,
        ),
        *(b"NaN", b"\0", b"%d" % 2**63, b"%d" % 2**64, b"1_0"),
    )
    found = [b"Content-Length: " + dice.choice(texts)]
    if dice.random() < 0.3:
        found.append(b"Content-Length: " + dice.choice((b"%d" % true, *texts)))
    if dice.random() < 0.2:
        found.append(b"Transfer-Encoding: chunked")
    return found


def transfer_encodings(dice: Dice) -> list[bytes]:
    texts = (
        *(
            b"chunked",
            b"chunked",
            b"chunked",
            b"chunked",
            b"Chunked",
            b"gzip, chunked",
            b"identity",
        ),
        *(b"chunked, chunked", b"\x0bchunked", b"chunked;q=1", b"", b"xchunked", b"chunked\0"),
    )
    found = [b"Transfer-Encoding: " + dice.choice(texts)]
    return found * 2 if dice.random() < 0.1 else found


SCHEMES = (
    *(b"http:", b"http:", b"https:", b"javascript:", b"data:", b"mailto:", b"ftp:", b"file:", b""),
    *(b"HTTP:", b"ht tp:", b"http", b":", b"ws:", b"\xff:", b"xn--:", b"1:", b"a" * 500 + b":"),
)
SLASHES = (b"//", b"//", b"//", b"/", b"", b"///", b"\\\\", b"/\\")
HOSTS = (
    *(
        b"{here}",
        b"{here}",
        b"{here}",
        b"a.example",
        b"xn--",
        b"xn--a",
        b"xn--zzzzzz99999",
        b"[",
        b"]",
    ),
    *(
        b"[::1",
        b"[::1]",
        b"[::1]:",
        b"[v1.x]",
        b"[fe80::1%25eth0]",
        b"",
        b".",
        b"..",
        b"a..b",
        b"-",
    ),
    *(b"127.0.0.1:99999", b"127.0.0.1:-1", b"127.0.0.1:x", b"127.0.0.1:", b"0x7f.1", b"1e400"),
    *(b"u:p@{here}", b"@", b"@{here}", b"a b", b"a" * 300, b"\xc3\xa9.example", b"\xff\xfe", b"%"),
    *(b"%31%32%37.0.0.1", b"\xe3\x80\x82", b"\xe2\x84\xa1.example", b"a\0b", b"*", b"{here}\\@b"),
)
PATHS = (
    *(b"", b"/", b"/x", b"/x?y=1", b"?", b"#", b"#\xff", b"/" + b"%" * 900, b"/%zz", b"/\xff\x80"),
    *(
        b"/a b",
        b"/..//../",
        b"/" + b"a" * 20_000,
        b"/\\",
        b"/\t",
        b"/\x7f",
        b"/\xe2\x80\xae",
        b"/;",
    ),
    *(b"?\xff=\xfe", b"/?q=" + b"&" * 900, b"/x\0y", b"//", b"/:80", b"/\xed\xa0\x80"),
)


def location(dice: Dice) -> bytes:
    """`{here}` stands for the host and port that were asked."""
    if dice.random() < 0.1:
        return b"Location: " + any_bytes(dice, 60)
    parts: Sequence[Sequence[bytes]] = (SCHEMES, SLASHES, HOSTS, PATHS)
    text = b"".join(dice.choice(part) for part in parts)
    if dice.random() < 0.3:
        at = dice.randrange(len(text) + 1)
        text = text[:at] + any_bytes(dice, 4) + text[at:]
    return b"Location: " + text
