"""A body as it comes in: unpacked here, and never more of it in memory than it may have."""

import mmap
import zlib
from collections.abc import AsyncIterable, Iterable

from backend.errors import MalformedResponse

#: What we ask for, and all that we unpack: of it a limit can be set on what comes out.
ACCEPT_ENCODING = "gzip"
#: zlib's name for "gzip or zlib, by the header".
ANY_HEADER = 47
STEP_BYTES = 256 * 1024
#: What is longer stands in memory of its own, which the system has back as soon as it is read.
LARGE_BYTES = 1024 * 1024


async def read_body(chunks: AsyncIterable[bytes], encoding: str, max_bytes: int) -> bytes:
    """All of it, unpacked. Raises MalformedResponse where that is longer, or can't be unpacked.

    A library's decoder would unpack each chunk whole: 64 KiB of a bomb make 64 MiB.
    """
    unpack = _unpacker(encoding)
    body = _Body(max_bytes)
    try:
        async for chunk in chunks:
            for piece in unpack(chunk):
                body.add(piece)
        return body.whole()
    finally:
        body.release()


class _Body:
    """Small as pieces, large in a mapping: freed pieces of 32 MB would stay with malloc for good.

    Neither grows by moving, so only the whole body stands in memory twice, for a moment.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._pieces: list[bytes] = []
        self._mapping: mmap.mmap | None = None

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max_bytes:
            raise MalformedResponse("the body is larger than any honest one")
        if self._mapping is None and self._size > LARGE_BYTES:
            self._map()
        (self._mapping.write if self._mapping else self._pieces.append)(piece)

    def whole(self) -> bytes:
        return self._mapping[: self._size] if self._mapping else b"".join(self._pieces)

    def release(self) -> None:
        if self._mapping:
            self._mapping.close()

    def _map(self) -> None:
        """Pages that nobody writes to cost nothing."""
        self._mapping = mmap.mmap(-1, self._max_bytes, access=mmap.ACCESS_COPY)
        for piece in self._pieces:
            self._mapping.write(piece)
        self._pieces.clear()


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
