"""Good replies in odd bytes: headers, encodings, lengths, what follows them, TLS records."""

import asyncio
import gzip
from collections.abc import Callable, Mapping
from typing import Any

from tests.world.messages import Reply, encoded

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
ODD_COOKIE = "city=Zürich; Path=/"
ODD_VALIDATORS = {"ETag": '"café', "Last-Modified": "März"}
#: Behind a complete answer: another one, which nobody asked for.
BEHIND = b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n["forged"]'
#: A record of data that was never encrypted.
DAMAGED_RECORD = b"\x17\x03\x03\x00\x40" + bytes(range(64))
MISSING_BYTES = 10


def with_headers(headers: Mapping[str, str]) -> Callable[[Reply], Reply]:
    def apply(reply: Reply) -> Reply:
        return Reply(reply.status, reply.body, {**reply.headers, **headers}, reply.content_type)

    return apply


def with_body(change: Callable[[bytes], bytes], **headers: str) -> Callable[[Reply], Reply]:
    named = {name.replace("_", "-"): text for name, text in headers.items()}

    def apply(reply: Reply) -> Reply:
        body = change(reply.body)
        return Reply(reply.status, body, {**reply.headers, **named}, reply.content_type)

    return apply


def truncated_gzip(body: bytes) -> bytes:
    packed = gzip.compress(body, 1, mtime=0)
    return packed[: len(packed) * 3 // 4]


def gzip_members(body: bytes) -> bytes:
    third = len(body) // 3 + 1
    parts = (body[at : at + third] for at in range(0, len(body), third))
    return b"".join(gzip.compress(part, 1, mtime=0) for part in parts)


async def bytes_behind(reply: Reply, writer: asyncio.StreamWriter) -> None:
    writer.write(encoded(reply) + BEHIND * 3)
    await writer.drain()
    await asyncio.sleep(0.05)


async def short_body(reply: Reply, writer: asyncio.StreamWriter) -> None:
    """It ends before its length, though it may be whole in itself."""
    raw, length = encoded(reply), b"Content-Length: %d"
    told, more = length % len(reply.body), length % (len(reply.body) + MISSING_BYTES)
    writer.write(raw.replace(told, more, 1))
    await writer.drain()


async def damaged_record(_reply: Reply, writer: asyncio.StreamWriter) -> None:
    """Past the TLS that the server speaks, to the connection beneath it."""
    transport: Any = writer.transport
    transport._ssl_protocol._transport.write(DAMAGED_RECORD)
    await asyncio.sleep(0.05)
