"""A body as it comes in: unpacked here, and never more of it in memory than it may have."""

import asyncio
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


#: More members than any honest gzip body has, and more pieces than any honest body comes in: each
#: costs us microseconds, however few bytes it has.
MOST_MEMBERS, MOST_PIECES = 1_000, 20_000
#: Pieces after which the event loop runs others.
PIECES_AT_ONCE = 100
#: Codings that are none of those we ask for (the IANA registry of content codings).
FOREIGN = frozenset("br zstd compress x-compress dcb dcz exi pack200-gzip aes128gcm".split())
GZIP = frozenset(("gzip", "x-gzip", "deflate"))


async def read_body(chunks: AsyncIterable[bytes], encoding: str, max_bytes: int) -> bytes:
    """All of it, unpacked. Raises MalformedResponse where it is longer than `max_bytes`, ends in
    the middle, or cannot be unpacked.

    A library's decoder would unpack each chunk whole: 64 KiB of a bomb make 64 MiB.
    """
    unpacker = _unpacker(encoding)
    body, pieces, taken = _Body(max_bytes), 0, 0
    try:
        async for chunk in chunks:
            pieces, taken = pieces + 1, taken + len(chunk)
            if pieces > MOST_PIECES or taken > max_bytes + STEP_BYTES:
                raise MalformedResponse("the body is larger than any honest one")
            for piece in unpacker.unpacked(chunk):
                body.add(piece)
            if pieces % PIECES_AT_ONCE == 0:
                await asyncio.sleep(0)
        unpacker.end()
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
    def unpacked(self, chunk: bytes) -> Iterable[bytes]:
        return (chunk,)

    def end(self) -> None:
        """The whole body has been read."""


class _Gzip:
    """One or more members, one behind the other (RFC 1952, 2.2), perhaps padded with zeros."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=ANY_HEADER)
        self._members = 0
        self._is_in_member = False

    def unpacked(self, chunk: bytes) -> Iterable[bytes]:
        """In pieces: zlib too would hold what comes out twice."""
        while chunk := self._begun(chunk):
            is_more = True
            while is_more:
                piece = self._decompressed(chunk)
                yield piece
                chunk = self._inflate.unconsumed_tail
                # At a member's end zlib has what follows in `unconsumed_tail`, too, for ever.
                is_more = not self._inflate.eof and (bool(chunk) or len(piece) == STEP_BYTES)
            if not self._inflate.eof:
                return
            self._is_in_member, chunk = False, self._inflate.unused_data

    def end(self) -> None:
        """Raises MalformedResponse where the last member is not complete."""
        if self._is_in_member:
            raise MalformedResponse("the body ends in the middle of its compression")

    def _begun(self, chunk: bytes) -> bytes:
        """`chunk` from where a member goes on or begins."""
        if self._is_in_member:
            return chunk
        if self._members:
            chunk = chunk.lstrip(b"\0")
        if chunk:
            self._members += 1
            if self._members > MOST_MEMBERS:
                raise MalformedResponse("the body has more parts than any honest one")
            self._inflate, self._is_in_member = zlib.decompressobj(wbits=ANY_HEADER), True
        return chunk

    def _decompressed(self, chunk: bytes) -> bytes:
        try:
            return self._inflate.decompress(chunk, STEP_BYTES)
        except zlib.error:
            raise MalformedResponse("the body's compression is broken") from None


def _unpacker(encoding: str) -> _Plain | _Gzip:
    """By the codings of the header; a name that is no coding (S3 sends `aws-chunked`, others
    `UTF-8` or `none`) means nothing."""
    names = [name.strip().lower() for name in encoding.split(",")]
    known = [name for name in names if name in GZIP or name in FOREIGN]
    if not known:
        return _Plain()
    if len(known) > 1 or known[0] in FOREIGN:
        raise MalformedResponse("the body comes in a compression that was not asked for")
    return _Gzip()
