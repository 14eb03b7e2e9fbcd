"""Content codings: which one a client accepts, and the compression."""

import gzip
import re
from collections.abc import Callable
from functools import lru_cache

import brotli
import zstandard

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


def _zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(body)


def _brotli(body: bytes) -> bytes:
    packed: bytes = brotli.compress(body, quality=4)
    return packed


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=6, mtime=0)


#: Best first: rows of JSON have about the same size in each; 129 kB take 0.3, 0.9 and 1.7 ms.
CODINGS: dict[str, Callable[[bytes], bytes]] = {"zstd": _zstd, "br": _brotli, "gzip": _gzip}


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
