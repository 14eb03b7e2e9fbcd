"""What can go wrong with a provider: by status, in the payload, on the wire."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from datetime import timedelta
from email.utils import formatdate
from functools import lru_cache, partial

from tests.world import odd_bytes, odd_rows
from tests.world.coingecko import coingecko_error
from tests.world.facts import Facts
from tests.world.junk import ALL, older, renamed, spoiled
from tests.world.messages import Reply, encoded, json_reply

TEN_DAYS_S = 864_000
#: How far ahead the date of a Retry-After lies, in seconds.
DATED_S = 90.0


@lru_cache(maxsize=2)
def gzip_bomb(megabytes: int = 48) -> bytes:
    """Blanks: a thousandth of their size when they are sent."""
    return gzip.compress(b" " * (megabytes * 1_000_000), compresslevel=9, mtime=0)


def _too_many(**headers: str) -> Reply:
    return json_reply({"status": {"error_code": 429}}, 429, **headers)


def _too_many_until(facts: Facts) -> Reply:
    now_s = facts.now_s
    date, until = formatdate(now_s, usegmt=True), formatdate(now_s + DATED_S, usegmt=True)
    return _too_many(Date=date, Retry_After=until)


def _html(status: int) -> Reply:
    return Reply(status, b"<html><body>Attention!</body></html>", content_type="text/html")


HTTP_FAULTS: dict[str, Callable[[Facts], Reply]] = {
    "http500": lambda _facts: json_reply({"status": 500, "error": "Internal Server Error"}, 500),
    "http503": lambda _facts: json_reply({}, 503, Retry_After="120"),
    "429": lambda _facts: _too_many(Retry_After="53"),
    "429_30": lambda _facts: _too_many(Retry_After="30"),
    "429_none": lambda _facts: _too_many(),
    "429_date": _too_many_until,
    "429_0": lambda _facts: _too_many(Retry_After="0"),
    "429_ten_days": lambda _facts: _too_many(Retry_After=str(TEN_DAYS_S)),
    "418": lambda _facts: json_reply(
        {"code": -1003, "msg": "Way too much"}, 418, Retry_After="120"
    ),
    "451": lambda _facts: json_reply({"code": 0, "msg": "a restricted location"}, 451),
    "403": lambda _facts: _html(403),
    "401": lambda _facts: coingecko_error(401, 10002),
    "html": lambda _facts: _html(200),
    "empty": lambda _facts: Reply(200),
    "empty_list": lambda _facts: json_reply([]),
    "rpc_error": lambda _facts: json_reply(
        [{"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "no"}}]
    ),
    "429_daily": lambda _facts: json_reply(
        {"message": "You exceeded your daily quota, slow down"}, 429, Retry_After="5"
    ),
    "redirect": lambda facts: Reply(302, headers={"Location": facts.elsewhere}),
    "redirect_script": lambda _facts: Reply(302, headers={"Location": "javascript:x"}),
    "redirect_xn": lambda _facts: Reply(308, headers={"Location": "http://xn--/"}),
    "gzip_bomb": lambda _facts: Reply(200, gzip_bomb(), {"Content-Encoding": "gzip"}),
    "large_gzip_bomb": lambda _facts: Reply(200, gzip_bomb(200), {"Content-Encoding": "gzip"}),
}

PAYLOAD_FAULTS: dict[str, Callable[[Reply], Reply]] = {
    "truncated": lambda reply: Reply(200, reply.body[: len(reply.body) // 2]),
    "nan": spoiled(lambda _value: float("nan")),
    "zero": spoiled(lambda _value: 0.0),
    "negative": spoiled(lambda value: -value),
    "times_1000": spoiled(lambda value: value * 1_000),
    "times_1000_all": spoiled(lambda value: value * 1_000, ALL),
    "yesterday": older(timedelta(days=1)),
    "three_days_old": older(timedelta(days=3)),
    "renamed": renamed,
    "null": lambda _reply: Reply(200, b"null"),
    "odd_cookie": odd_bytes.with_headers({"Set-Cookie": odd_bytes.ODD_COOKIE}),
    "odd_validators": odd_bytes.with_headers(odd_bytes.ODD_VALIDATORS),
    "truncated_gzip": odd_bytes.with_body(odd_bytes.truncated_gzip, Content_Encoding="gzip"),
    "gzip_members": odd_bytes.with_body(odd_bytes.gzip_members, Content_Encoding="gzip"),
    "odd_encoding": odd_bytes.with_headers({"Content-Encoding": "UTF-8"}),
    "bom": odd_bytes.with_body(lambda body: odd_bytes.BYTE_ORDER_MARK + body),
    "null_row": odd_rows.one_row(odd_rows.null, odd_rows.emptied),
    "no_id": odd_rows.one_row(odd_rows.without_identity, odd_rows.without_names),
    "absurd_row": odd_rows.one_row(odd_rows.absurd, odd_rows.of_another_time),
    "bad_majority": odd_rows.most_rows(odd_rows.null, odd_rows.emptied),
    "huge_supply": odd_rows.first_row(odd_rows.huge_supply),
    "surrogate": odd_rows.with_surrogate,
    "control_characters": odd_rows.one_row(
        odd_rows.with_control_characters, odd_rows.titled_with_control_characters
    ),
    "many_rows": odd_rows.too_many(),
    "large_list": odd_rows.too_many(odd_rows.LARGE_BYTES // odd_rows.MANY_ROWS),
}


async def _silence(_reply: Reply, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(120)


async def _drip(reply: Reply, writer: asyncio.StreamWriter) -> None:
    """Quicker than one byte a second, so that no time-out between bytes would end it."""
    for byte in encoded(reply)[:120]:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)


async def _reset(reply: Reply, writer: asyncio.StreamWriter) -> None:
    writer.write(encoded(reply)[:400])
    await writer.drain()
    writer.transport.abort()


async def _endless(_reply: Reply, writer: asyncio.StreamWriter, length: str = "") -> None:
    """400 MB, of which only one is ever held."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%b\r\n[" % length.encode())
    blanks = b" " * 1_000_000
    for _ in range(400):
        writer.write(blanks)
        await writer.drain()


WIRE_FAULTS: dict[str, Callable[[Reply, asyncio.StreamWriter], Awaitable[None]]] = {
    "silence": _silence,
    "drip": _drip,
    "reset": _reset,
    "endless": _endless,
    "400_mb": partial(_endless, length="Content-Length: 400000001\r\n"),
    "bytes_behind": odd_bytes.bytes_behind,
    "short_body": odd_bytes.short_body,
    "damaged_record": odd_bytes.damaged_record,
}
