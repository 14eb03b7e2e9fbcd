"""Bodies compressed once for everybody: which coding a client takes, and how it is made."""

import gzip
from collections.abc import Callable
from functools import lru_cache

import brotli
import zstandard

IDENTITY = ""
#: Compressed, a smaller body saves no packet.
LEAST_BYTES = 600
#: From here on the slowest coding takes over 5 ms: a thread's work.
THREAD_BYTES = 256 * 1024


def _zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(body)


def _brotli(body: bytes) -> bytes:
    packed: bytes = brotli.compress(body, quality=4)
    return packed


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=6, mtime=0)


#: Best first: on rows of JSON they are of about one size, and cost 0.3, 0.9 and 1.7 ms for 129 kB.
CODINGS: dict[str, Callable[[bytes], bytes]] = {"zstd": _zstd, "br": _brotli, "gzip": _gzip}


@lru_cache(maxsize=256)
def coding_for(accept_encoding: str) -> str:
    """The best coding that the header allows (RFC 9110, 12.5.3); IDENTITY where none is."""
    quality: dict[str, float] = {}
    for part in accept_encoding[:1_024].lower().split(","):
        name, _, weight = part.partition(";")
        quality[name.strip()] = _weight(weight)
    allowed = {name: quality.get(name, quality.get("*", 0.0)) for name in CODINGS}
    best = max(allowed, key=lambda name: allowed[name])  # of equals the first
    return best if allowed[best] > 0 else IDENTITY


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value) if name.strip() == "q" else 0.0
    except ValueError:
        return 0.0


def compressed(body: bytes, coding: str) -> bytes:
    return CODINGS[coding](body)
