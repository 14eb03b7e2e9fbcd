"""A response body that is encoded once: compressed once for each coding, with its entity tags."""

import asyncio
import gzip
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import blake2b

import brotli
import zstandard
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

#: Length of a digest in bytes.
DIGEST_BYTES = 12
IDENTITY = ""
#: In bytes: to compress a smaller body saves no packet.
MIN_BYTES = 600
#: In bytes: from here on the slowest coding takes over 5 ms, and runs in a thread.
THREAD_BYTES = 256 * 1024
#: Characters of Accept-Encoding that are read; a member that goes on behind them is not.
MAX_HEADER_LENGTH = 1_024
#: A member of Accept-Encoding (RFC 9110, 12.5.3): a coding and, at most, its weight.
_MEMBER = re.compile(
    r"(?P<name>[^;\s]+)(?:[ \t]*;[ \t]*q=(?P<weight>0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?", re.ASCII
)
#: Best first: rows of JSON have about the same size in each; 129 kB take 0.3, 0.9 and 1.7 ms.
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": lambda body: zstandard.ZstdCompressor(level=3).compress(body),
    "br": partial(brotli.compress, quality=4),
    "gzip": partial(gzip.compress, compresslevel=6, mtime=0),
}


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """`digest` identifies the content; `coded` has it as compressed so far, by coding."""

    content: bytes
    media_type: str
    digest: str
    coded: dict[str, bytes] = field(default_factory=dict)
    #: Compressions in progress, by coding.
    tasks: dict[str, asyncio.Task[bytes]] = field(default_factory=dict)

    async def in_coding(self, coding: str) -> bytes:
        """Compressed at the first use; a long body in a thread, for all requests that wait."""
        if not coding:
            return self.content
        if coding not in self.coded:
            if len(self.content) < THREAD_BYTES:
                self.coded[coding] = compressed(self.content, coding)
            else:
                task = self.tasks.get(coding) or asyncio.create_task(
                    asyncio.to_thread(compressed, self.content, coding)
                )
                self.tasks[coding] = task
                self.coded[coding] = await asyncio.shield(task)
                self.tasks.pop(coding, None)
        return self.coded[coding]


def body_of(content: bytes, media_type: str) -> Body:
    digest = blake2b(content, digest_size=DIGEST_BYTES).hexdigest()
    return Body(b"%b" % content, media_type, digest)  # a copy: encoding.to_json says why


async def respond_with(request: Request, body: Body, headers: dict[str, str]) -> Response:
    """The body in the best coding that the client accepts, or 304 if the client has it.

    `headers` are those of the response besides ETag, Content-Encoding and Content-Type.
    """
    accepted = field_value(request.headers, "accept-encoding")
    coding = coding_for(accepted, is_small=len(body.content) < MIN_BYTES)
    headers = {**headers, "ETag": etag_of(body.digest, coding)}
    if matches(field_value(request.headers, "if-none-match"), body.digest):
        return Response(status_code=304, headers=headers)
    content = await body.in_coding(coding)
    if coding:
        headers["Content-Encoding"] = coding
    return Response(content, media_type=body.media_type, headers=headers)


def field_value(headers: Headers, name: str) -> str:
    """All lines of a list-valued field joined by commas (RFC 9110, 5.3); empty without any."""
    return ", ".join(headers.getlist(name))


@lru_cache(maxsize=256)
def coding_for(accept_encoding: str, *, is_small: bool = False) -> str:
    """The content coding to send (RFC 9110, 12.5.3); IDENTITY for none.

    The highest weight wins, and the best coding among equals. A small body is sent uncoded unless
    `identity` is refused. A member that is malformed counts as refused. Where everything is
    refused the header is disregarded: an uncoded answer helps more than a 406.
    """
    weights = _weights(accept_encoding)
    others = weights.get("*", 0.0)
    allowed = {name: weights.get(name, others) for name in CODINGS}
    best = max(allowed, key=lambda name: allowed[name])  # of equals the first
    takes_identity = weights.get("identity", weights.get("*", 1.0)) > 0
    prefers_identity = weights.get("identity", 0.0) > allowed[best]
    if allowed[best] == 0 or prefers_identity or (is_small and takes_identity):
        return IDENTITY
    return best


def _weights(accept_encoding: str) -> dict[str, float]:
    """Weight by coding in lower case; 0 for a malformed member."""
    if len(accept_encoding) > MAX_HEADER_LENGTH:  # half a member would say something else
        accept_encoding = accept_encoding[:MAX_HEADER_LENGTH].rpartition(",")[0]
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        member = part.strip(" \t")
        if found := _MEMBER.fullmatch(member):
            weights[found["name"]] = float(found["weight"] or 1)
        else:
            weights[member.partition(";")[0].strip(" \t")] = 0.0
    return weights


def compressed(body: bytes, coding: str) -> bytes:
    return CODINGS[coding](body)


def etag_of(digest: str, coding: str) -> str:
    """Representations whose bytes differ have tags that differ (RFC 9110, 8.8.3)."""
    return f'"{digest}-{coding}"' if coding else f'"{digest}"'


@lru_cache(maxsize=512)  # a polling client sends the same tags until the answer changes
def matches(if_none_match: str | None, digest: str) -> bool:
    """Whether one of the tags is of this body, in any coding.

    `*` matches any body (RFC 9110, 13.1.2); `"*"` is only a tag. Tags compare weakly, and quotes
    may be missing.
    """
    if not if_none_match:
        return False
    if if_none_match.strip(" \t") == "*":
        return True
    known = {etag_of(digest, coding) for coding in (IDENTITY, *CODINGS)}
    tags = (tag.strip(" \t").removeprefix("W/") for tag in if_none_match.split(","))
    return any((tag if tag.startswith('"') else f'"{tag}"') in known for tag in tags)
