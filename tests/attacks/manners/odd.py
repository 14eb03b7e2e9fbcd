"""F: questions as nobody should write them, of pages and readers that may not ask."""

from urllib.parse import quote

from tests.attacks.attack import Tally
from tests.attacks.connection import get, handshake, said, status, wire_to
from tests.attacks.ground import Field
from tests.attacks.readers.scene import GOOD_ORIGIN, KEY, LOCKED, OPEN


@OPEN.attack(
    "F",
    "two lengths, a length and chunks, odd chunks: a question hidden in another one's body",
    loss="a hidden question that is answered",
)
async def smuggled_questions(field: Field, tally: Tally) -> None:
    hidden = get("/api/hidden-question")
    size = len(hidden)
    heads = (
        ("Content-Length: 0", f"Content-Length: {size}"),
        (f"Content-Length: {size}", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", f"Content-Length: {size}"),
        (f"Content-Length: {size}", "Transfer-Encoding: identity, chunked"),
        ("Transfer-Encoding: \x0bchunked",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: chunked, identity",),
        (f"Content-Length: +{size}",),
        (f"Content-Length: {size}, {size}",),
        ("Transfer-Encoding: xchunked", f"Content-Length: {size}"),
        ("X: y\rTransfer-Encoding: chunked",),
        ("X: y\nContent-Length: 0",),
        (f"Content-Length: {size}",),
    )
    for lines in heads:
        for body in (hidden, b"0\r\n\r\n" + hidden):
            async with wire_to(field.gateway) as wire:
                await wire.say(get("/api/gas", *lines) + body)
                told = await wire.everything(0.15)
            tally.tries += 1
            is_hidden_answered = b"hidden-question" in told
            # Behind the last chunk of a chunked body alone the next question does begin.
            is_honest = (
                body != hidden and any("chunked" in line for line in lines) and len(lines) == 1
            )
            tally.expect(
                not is_hidden_answered or is_honest, f"{lines}: the hidden question was answered"
            )
            tally.expect(b" 500 " not in told[:30], f"{lines}: 500")


@OPEN.attack(
    "F",
    "odd versions, methods, targets, ranges, expectations, bytes over 127, odd paths",
    loss="a 5xx, no answer and no end, a file or a page that is nobody's business",
)
async def odd_requests(field: Field, tally: Tally) -> None:
    texts = (
        *(
            f"{method} /api/gas HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            for method in ("TRACE", "CONNECT", "DELETE", "PROPFIND", "get", "X" * 60)
        ),
        *(
            f"GET /api/gas HTTP/{version}\r\nHost: a\r\n\r\n".encode()
            for version in ("1.0", "0.9", "2.0", "1.2", "9.9", "1.1.1", "1.")
        ),
        *(
            get(target)
            for target in (
                "http://evil.example/api/gas",
                "*",
                "a.example:443",
                "/../../etc/passwd",
                "/%2e%2e/%2e%2e/etc/passwd",
                "/static/..%2f..%2frun_server.py",
                "/docs/../../x",
                "/api/market/%00",
                "/api/market/%ff%fe",
                "/api/market/" + quote("比特币🚀"),
                "/api/market/" + "%F0%9F%9A%80" * 60,
                "/api/market/a%2F..%2Fb",
                "/api/market/..;/",
                "/API/GAS",
                "/api//gas",
                "/api/gas%20",
                "/api/gas?%",
                "/api/gas?\xff",
                "/api/market?symbols=%f0%28%8c%28",
            )
        ),
        *(
            get("/api/market", line)
            for line in (
                "Range: bytes=0-1",
                "Range: bytes=-1,-1,-1",
                "Range: lines=1-2",
                "Expect: 100-continue",
                "Expect: 200-ok",
                "Upgrade: h2c",
                "Connection: Upgrade, HTTP2-Settings",
                "If-None-Match: *",
                "If-None-Match: \xff",
                "If-Modified-Since: never",
                "If-Match: x",
                "TE: trailers, gzip",
                "Cookie: \xff=\x00",
                "Content-Type: \xff",
                "X-Request-Id: \xff\x1b",
                "Accept: \xff",
                "Origin: null",
                "Origin: \xff",
                "Authorization: Basic \xff",
                "X-Forwarded-For: \xff" + "1," * 2_000,
            )
        ),
        b"\r\n\r\n\r\nGET /api/gas HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /api/gas\r\n",
        b"\x00" * 100 + b"\r\n\r\n",
        b"GET /api/gas HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n",
        b"GET /api/gas HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
        b"GET /api/gas HTTP/1.1\r\nHost: a\r\nX\x00: x\r\n\r\n",
    )
    for text in texts:
        answer = await said(field.gateway, text, 0.6)
        tally.tries += 1
        tally.expect(status(answer) < 500, f"{text[:60]!r}: {status(answer)}")
        tally.expect(
            b"root:" not in answer and b"import " not in answer[:3_000], f"{text[:60]!r}: a file"
        )
    well = await field.gateway.client.get("/api/gas")
    tally.expect(well.status_code == 200, f"afterwards: {well.status_code}")


@LOCKED.attack(
    "F",
    "WebSockets and questions of a page of another origin, with forged Origin and Host",
    loss="a stream or an answer that this page may read",
)
async def forged_origins(field: Field, tally: Tally) -> None:
    gateway = field.gateway
    bad = (
        "https://evil.example",
        "null",
        f"{GOOD_ORIGIN}.evil.example",
        "https://evilgood.example",
        f"{GOOD_ORIGIN}:99",
        "http://good.example",
        f"https://evil.example/{GOOD_ORIGIN}",
    )
    for origin in bad:
        answer = await gateway.client.get("/api/gas", headers={"Origin": origin})
        tally.tries += 2
        allowed = answer.headers.get("access-control-allow-origin")
        tally.expect(allowed not in ("*", origin), f"{origin} may read")
        told = await said(gateway, handshake("/ws", f"Origin: {origin}", f"X-API-Key: {KEY}"))
        tally.expect(status(told) != 101, f"{origin} may have the stream")
    answer = await gateway.client.get("/api/gas", headers={"Origin": GOOD_ORIGIN})
    tally.expect(
        answer.headers.get("access-control-allow-origin") == GOOD_ORIGIN,
        "the good origin may not read",
    )


@LOCKED.attack(
    "F",
    "guessed keys, by every way a key can come",
    loss="a wrong key that is taken, the right one that is refused afterwards",
)
async def guessed_keys(field: Field, tally: Tally) -> None:
    gateway = field.gateway
    guesses = (
        "",
        " ",
        KEY[:-1],
        KEY + "x",
        KEY.upper(),
        f" {KEY}x",
        "*",
        "%00",
        f"{KEY},x",
        "x" * 5_000,
        "\xff",
        "a-key-of-the-gatewa\u0443".encode().decode("latin-1"),
    )
    for guess in guesses:
        for lines in (
            (f"X-API-Key: {guess}",),
            (f"Authorization: Bearer {guess}",),
            (f"Authorization: {KEY}",),
            (f"X-API-Key: {guess}", "X-API-Key: "),
            (f"Cookie: key={KEY}",),
        ):
            answer = await said(gateway, get("/api/gas", *lines))
            tally.tries += 1
            tally.expect(status(answer) in (400, 401), f"{lines[0][:40]!r}: {status(answer)}")
    for path in (
        f"/api/gas?api_key={KEY}",
        f"/api/gas?key={KEY}",
        "/API/gas",
        "//api/gas",
        "/api/./gas",
        "/x/../api/gas",
        "/metrics/",
        "/%61pi/gas",
    ):
        answer = await said(gateway, get(path))
        tally.tries += 1
        tally.expect(
            b'"slow"' not in answer and b"gateway_requests_total" not in answer,
            f"{path}: an answer without a key",
        )
    right = await gateway.client.get("/api/gas")
    tally.expect(right.status_code == 200, f"the right key afterwards: {right.status_code}")
