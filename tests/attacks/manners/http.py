"""F1 to F5, F7: codings, white space, caches, redirects, instants, hosts."""

import gzip
from urllib.parse import urlsplit

import brotli
import zstandard

from tests.attacks.attack import Tally
from tests.attacks.connection import get, said, status
from tests.attacks.ground import Field
from tests.attacks.readers.scene import GOOD_ORIGIN, KEY, LOCKED, OPEN

DATA = (
    "/api/market",
    "/api/market/bitcoin",
    "/api/market/ohlc?symbol=BTC&interval=1h",
    "/api/news",
    "/api/sentiment",
    "/api/gas",
    "/api/status",
)


CODINGS = (
    "gzip;q=abc",
    "gzip;q=",
    "gzip;q=-1",
    "gzip;q=2",
    "gzip;q=1e400",
    "gzip;q=nan",
    "*;q=0",
    "identity;q=0",
    "gzip;q=0, *;q=0",
    ";;;",
    ",,,",
    "gzip;;q=1",
    "gzip;q=0.5;q=x",
    "\xff\xfe",
    "br;q=\xe9",
    "x" * 5_000,
    "gzip, " * 400,
    "zstd;q=0.001, br;q=0.002, gzip;q=0.003",
)


@OPEN.attack(
    "F1",
    "`Accept-Encoding: gzip;q=abc` and seventeen others",
    loss="a 500, a body that is not what its coding says",
)
async def odd_accept_encoding(field: Field, tally: Tally) -> None:
    for path in ("/", "/api/market?limit=20", "/docs", "/metrics")[: tally.times(4, 2)]:
        for text in CODINGS:
            answer = await said(field.gateway, get(path, f"Accept-Encoding: {text}"))
            tally.tries += 1
            tally.expect(
                status(answer) in (200, 406), f"{path} with {text[:20]!r}: {status(answer)}"
            )
            tally.expect(is_whole(answer), f"{path} with {text[:20]!r}: a body that cannot be read")


def is_whole(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    coding = head.lower().partition(b"content-encoding: ")[2].partition(b"\r\n")[0]
    try:
        match coding:
            case b"gzip":
                gzip.decompress(body)
            case b"br":
                brotli.decompress(body)
            case b"zstd":
                zstandard.ZstdDecompressor().decompressobj().decompress(body)
    except (OSError, EOFError, brotli.error, zstandard.ZstdError):
        return False
    return coding in (b"", b"gzip", b"br", b"zstd")


# F2: white space


@LOCKED.attack(
    "F2",
    "white space behind the values of headers",
    loss="a right key, length or host that is refused",
)
async def white_space(field: Field, tally: Tally) -> None:
    gateway = field.gateway
    key = f"X-API-Key: {KEY}"
    for text in (
        get("/api/gas", f"{key} "),
        get("/api/gas", f"{key}\t \t"),
        get("/api/gas", f"X-API-Key:\t {KEY}"),
        get("/api/gas", f"Authorization: Bearer {KEY} \t"),
        get("/api/gas", key, "Content-Length: 0 "),
        get("/api/gas", key, host="Host: gateway.test \t"),
        get("/api/gas", key, "Accept-Encoding: identity "),
        get("/api/gas", key, "Connection: close "),
    ):
        answer = await said(gateway, text)
        tally.tries += 1
        tally.expect(status(answer) == 200, f"{text.split(b'test')[-1][2:40]!r}: {status(answer)}")


# F3: private answers


@LOCKED.attack(
    "F3",
    "answers behind keys, as a shared cache would keep them",
    loss="an answer that a shared cache may give to somebody without a key",
)
async def private_answers(field: Field, tally: Tally) -> None:
    for path in (*DATA, "/metrics"):
        for headers in ({}, {"Accept-Encoding": "gzip"}, {"Origin": GOOD_ORIGIN}):
            for _ in range(2):  # the whole way, and prepared
                answer = await field.gateway.client.get(path, headers=headers)
                tally.tries += 1
                control = answer.headers.get("cache-control", "")
                is_kept_back = "private" in control or "no-store" in control
                tally.expect(is_kept_back and "public" not in control, f"{path}: {control!r}")
                vary = answer.headers.get("vary", "").lower()
                is_varied = (
                    "no-store" in control
                    or "*" in vary
                    or {"authorization", "x-api-key"} <= {one.strip() for one in vary.split(",")}
                )
                tally.expect(is_varied, f"{path}: Vary: {vary}")


# F4: redirects


@OPEN.attack(
    "F4",
    "redirects behind a proxy: another scheme, another host, a path prefix",
    loss="a Location that names a host or scheme",
)
async def absolute_redirects(field: Field, tally: Tally) -> None:
    for path in (
        "/api/gas/",
        "/api/market/",
        "/docs/",
        "/api/status/",
        "/healthz/",
        "//evil.example/api/gas/",
        "/%2F%2Fevil.example/",
        "/\\evil.example/",
    ):
        for host in ("Host: gateway.test", "Host: evil.example", "Host: a.example:99"):
            answer = await said(field.gateway, get(path, "X-Forwarded-Proto: https", host=host))
            tally.tries += 1
            head = answer.partition(b"\r\n\r\n")[0]
            place = next(
                (line for line in head.split(b"\r\n") if line.lower().startswith(b"location:")), b""
            )
            target = place[9:].strip().decode("latin-1")
            parts = urlsplit(target.replace("\\", "/"))
            tally.expect(not parts.netloc and not parts.scheme, f"{path}: Location {target!r}")
            tally.expect(status(answer) not in (0, 500), f"{path}: {status(answer)}")


# F5: instants


@OPEN.attack("F5", "a bare `+` in an ISO instant", loss="a refusal, or another time")
async def plus_in_instants(field: Field, tally: Tally) -> None:
    for text in (
        "2026-11-20T00:00:00+00:00",
        "2026-11-20T05:30:00+05:30",
        "2026-11-20T00:00:00%2B00:00",
        "2026-11-20T00:00:00.000+00:00",
        "2026-11-20+00:00:00+00:00",
    ):
        for name, path in (
            ("start", "/api/market/ohlc?symbol=BTC&interval=1d&limit=1"),
            ("since", "/api/news?limit=1"),
        ):
            answer = await field.gateway.client.get(f"{path}&{name}={text}")
            tally.tries += 1
            is_explained = answer.status_code == 422 and "%2B" in answer.text
            tally.expect(
                answer.status_code == 200 or is_explained, f"{name}={text}: {answer.status_code}"
            )


# F7: hosts


@OPEN.attack(
    "F7", "no Host, two, an odd one", loss="an answer that is no 400, a good one that is refused"
)
async def odd_hosts(field: Field, tally: Tally) -> None:
    gateway = field.gateway
    bad = {
        "none": get("/api/gas", host=""),
        "two": get("/api/gas", "Host: other.test"),
        "two alike": get("/api/gas", "Host: gateway.test"),
        "with a space": get("/api/gas", host="Host: a b"),
        "with a comma": get("/api/gas", host="Host: a.test, b.test/"),
        "with a path": get("/api/gas", host="Host: a.test/x"),
        "with a user": get("/api/gas", host="Host: u@a.test"),
        "with a bracket": get("/api/gas", host="Host: [::1"),
    }
    good = {
        "HTTP/1.0 without": get("/api/gas", host="", version="1.0"),
        "with a port": get("/api/gas", host="Host: gateway.test:7860"),
        "of IPv6": get("/api/gas", host="Host: [::1]:7860"),
        "in capitals": get("/api/gas", host="HOST: GATEWAY.TEST"),
    }
    for wanted, kinds in ((400, bad), (200, good)):
        for what, text in kinds.items():
            answer = await said(gateway, text)
            tally.tries += 1
            tally.expect(status(answer) == wanted, f"a Host {what}: {status(answer)}")
