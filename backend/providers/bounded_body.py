"""Reads and decompresses an answer's body, with a limit on its size in memory."""

import asyncio
import mmap
import zlib
from collections.abc import AsyncIterable, Iterable

from backend.errors import MalformedResponse

#: The only coding requested and decompressed: its output can be limited while it is read.
ACCEPT_ENCODING = "gzip"
#: zlib's value for "gzip or zlib, by the header".
ANY_HEADER = 47
#: Bytes decompressed at once.
STEP_BYTES = 256 * 1024
#: Larger bodies are stored in a memory mapping, which is returned to the system after reading.
LARGE_BYTES = 1024 * 1024
#: Largest numbers of gzip members and of chunks: even an empty one takes microseconds.
MOST_MEMBERS, MOST_CHUNKS = 1_000, 20_000
#: Chunks after which other tasks of the event loop run.
CHUNKS_AT_ONCE = 100
#: Registered content codings (IANA) that are not requested.
FOREIGN = frozenset("br zstd compress x-compress dcb dcz exi pack200-gzip aes128gcm".split())
GZIP = frozenset(("gzip", "x-gzip", "deflate"))
TOO_LARGE = "the body is too large"


async def read_body(chunks: AsyncIterable[bytes], encoding: str, max_bytes: int) -> bytes:
    """The whole decompressed body. Raises MalformedResponse if it is longer than `max_bytes`,
    incomplete, or cannot be decompressed.

    A library's decoder would decompress each chunk whole: 64 KiB of a gzip bomb become 64 MiB.
    """
    decoder = _decoder(encoding)
    body, number, size = _Body(max_bytes), 0, 0
    try:
        async for chunk in chunks:
            number, size = number + 1, size + len(chunk)
            if number > MOST_CHUNKS or size > max_bytes + STEP_BYTES:
                raise MalformedResponse(TOO_LARGE)
            for piece in decoder.decode(chunk) if decoder else (chunk,):
                body.add(piece)
            if number % CHUNKS_AT_ONCE == 0:
                await asyncio.sleep(0)
        if decoder:
            decoder.end()
        return body.whole()
    finally:
        body.release()


class _Body:
    """Collects a small body as pieces and a large one in a mapping: malloc would not return the
    freed pieces of 32 MB to the system.

    Neither is copied while it grows; only `whole` needs the memory twice, for a moment.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._pieces: list[bytes] = []
        self._mapping: mmap.mmap | None = None

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max_bytes:
            raise MalformedResponse(TOO_LARGE)
        if self._mapping is None and self._size > LARGE_BYTES:
            # It reserves `max_bytes`; pages that are not written need no memory.
            self._mapping = mmap.mmap(-1, self._max_bytes, access=mmap.ACCESS_COPY)
            for earlier in self._pieces:
                self._mapping.write(earlier)
            self._pieces.clear()
        (self._mapping.write if self._mapping else self._pieces.append)(piece)

    def whole(self) -> bytes:
        return self._mapping[: self._size] if self._mapping else b"".join(self._pieces)

    def release(self) -> None:
        if self._mapping:
            self._mapping.close()


class _Gzip:
    """One or more gzip members (RFC 1952, 2.2), possibly padded with zeros."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=ANY_HEADER)
        self._members = 0
        self._is_in_member = False

    def decode(self, chunk: bytes) -> Iterable[bytes]:
        """The decompressed chunk in pieces, which limits zlib's own memory."""
        while chunk := self._in_member(chunk):
            is_more = True
            while is_more:
                try:
                    piece = self._inflate.decompress(chunk, STEP_BYTES)
                except zlib.error:
                    raise MalformedResponse("the body cannot be decompressed") from None
                yield piece
                chunk = self._inflate.unconsumed_tail
                # At a member's end zlib keeps the following bytes in `unconsumed_tail`, too.
                is_more = not self._inflate.eof and (bool(chunk) or len(piece) == STEP_BYTES)
            if not self._inflate.eof:
                return
            self._is_in_member, chunk = False, self._inflate.unused_data

    def end(self) -> None:
        """Raises MalformedResponse if the last member is incomplete."""
        if self._is_in_member:
            raise MalformedResponse("the compressed body is incomplete")

    def _in_member(self, chunk: bytes) -> bytes:
        """`chunk` from the first byte that belongs to a member; begins a new member if needed."""
        if self._is_in_member:
            return chunk
        if self._members:
            chunk = chunk.lstrip(b"\0")
        if chunk:
            self._members += 1
            if self._members > MOST_MEMBERS:
                raise MalformedResponse("the body has too many gzip members")
            self._inflate, self._is_in_member = zlib.decompressobj(wbits=ANY_HEADER), True
        return chunk


def _decoder(encoding: str) -> _Gzip | None:
    """The decoder for a Content-Encoding, None for a plain body. A name that is not a content
    coding is ignored (S3 sends `aws-chunked`, others `UTF-8` or `none`)."""
    names = [name.strip().lower() for name in encoding.split(",")]
    known = [name for name in names if name in GZIP or name in FOREIGN]
    if not known:
        return None
    if len(known) > 1 or known[0] in FOREIGN:
        raise MalformedResponse("the body has a content coding that was not requested")
    return _Gzip()
