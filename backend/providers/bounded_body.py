"""A body as it comes in: unpacked here, and never more of it in memory than it may have."""

import zlib
from collections.abc import AsyncIterable, Iterable

from backend.errors import MalformedResponse

#: What we ask for, and all that we unpack: of it a limit can be set on what comes out.
ACCEPT_ENCODING = "gzip"
#: zlib's name for "gzip or zlib, by the header".
ANY_HEADER = 47
STEP_BYTES = 256 * 1024


async def read_body(chunks: AsyncIterable[bytes], encoding: str, max_bytes: int) -> bytes:
    """All of it, unpacked. Raises MalformedResponse where that is longer, or can't be unpacked.

    A library's decoder would unpack each chunk whole: 64 KiB of a bomb make 64 MiB.
    """
    unpack = _unpacker(encoding)
    pieces: list[bytes] = []  # a growing buffer would stand in memory twice
    size = 0
    async for chunk in chunks:
        for piece in unpack(chunk):
            pieces.append(piece)
            size += len(piece)
            if size > max_bytes:
                raise MalformedResponse("the body is larger than any honest one")
    return b"".join(pieces)


class _Plain:
    def __call__(self, chunk: bytes) -> Iterable[bytes]:
        return (chunk,)


class _Gzip:
    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=ANY_HEADER)

    def __call__(self, chunk: bytes) -> Iterable[bytes]:
        """In pieces: zlib too would hold what comes out twice."""
        is_more = True
        while is_more:
            try:
                piece = self._inflate.decompress(chunk, STEP_BYTES)
            except zlib.error:
                raise MalformedResponse("the body's compression is broken") from None
            yield piece
            chunk = self._inflate.unconsumed_tail
            is_more = bool(chunk) or len(piece) == STEP_BYTES


def _unpacker(encoding: str) -> _Plain | _Gzip:
    match encoding.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip" | "deflate":
            return _Gzip()
    raise MalformedResponse("the body comes in a compression that was not asked for")
