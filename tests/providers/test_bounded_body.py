"""Bodies are unpacked piece by piece, and never beyond what they may be."""

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest

from backend.errors import MalformedResponse
from backend.providers.bounded_body import read_body

MIB = 1024 * 1024


async def pieces(body: bytes, size: int = 7) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("", b"[1, 2, 3]"),
        ("identity", b"[1, 2, 3]"),
        ("gzip", gzip.compress(b"[1, 2, 3]", mtime=0)),
        ("X-GZIP", gzip.compress(b"[1, 2, 3]", mtime=0)),
        ("deflate", zlib.compress(b"[1, 2, 3]")),
    ],
)
async def test_a_body_is_unpacked_however_it_is_cut(
    encoding: str, packed: bytes, size: int
) -> None:
    assert await read_body(pieces(packed, size), encoding, 9) == b"[1, 2, 3]"


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_one_byte_too_much_is_refused(encoding: str) -> None:
    body = b"[1, 2, 3]"
    packed = gzip.compress(body) if encoding else body
    with pytest.raises(MalformedResponse, match="larger"):
        await read_body(pieces(packed), encoding, 8)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "nonsense"])
async def test_what_was_not_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(MalformedResponse, match="not asked for"):
        await read_body(pieces(b"[]"), encoding, 100)


async def test_broken_compression_is_refused() -> None:
    with pytest.raises(MalformedResponse, match="broken"):
        await read_body(pieces(b"not gzip at all"), "gzip", 100)


@pytest.mark.parametrize("spare", [0, -1])
@pytest.mark.parametrize("size", [100, 64 * 1024])
async def test_a_large_body_is_whole_and_bounded_to_the_byte(size: int, spare: int) -> None:
    body = bytes(range(256)) * 8_192  # two MiB, in steps to the byte
    packed = gzip.compress(body, mtime=0)
    if spare == 0:
        assert await read_body(pieces(packed, size), "gzip", len(body)) == body
    else:
        with pytest.raises(MalformedResponse, match="larger"):
            await read_body(pieces(packed, size), "gzip", len(body) - 1)


@pytest.mark.parametrize("most", [4 * MIB, 32 * MIB])
async def test_a_bomb_never_stands_in_memory(most: int) -> None:
    bomb = gzip.compress(bytes(200 * MIB), 9)
    assert len(bomb) < MIB
    tracemalloc.start()
    try:
        with pytest.raises(MalformedResponse, match="larger"):
            await read_body(pieces(bomb, 64 * 1024), "gzip", most)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most + 2 * MIB
