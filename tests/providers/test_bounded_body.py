"""Bodies are unpacked piece by piece, and never beyond what they may be."""

import asyncio
import gzip
import random
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator

import pytest

from backend.errors import MalformedResponse
from backend.providers.bounded_body import read_body
from tests.memory import growth

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
async def test_a_body_is_decompressed_in_chunks_of_any_size(
    encoding: str, packed: bytes, size: int
) -> None:
    assert await read_body(pieces(packed, size), encoding, 9) == b"[1, 2, 3]"


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_a_body_one_byte_over_the_limit_is_refused(encoding: str) -> None:
    body = b"[1, 2, 3]"
    packed = gzip.compress(body) if encoding else body
    with pytest.raises(MalformedResponse, match="too large"):
        await read_body(pieces(packed), encoding, 8)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "gzip, br"])
async def test_a_coding_that_was_not_requested_is_refused(encoding: str) -> None:
    with pytest.raises(MalformedResponse, match="not requested"):
        await read_body(pieces(b"[]"), encoding, 100)


@pytest.mark.parametrize("name", ["UTF-8", "aws-chunked", "none", "binary", "", " , ", "nonsense"])
async def test_an_unknown_content_encoding_is_ignored(name: str) -> None:
    assert await read_body(pieces(b"[1]"), name, 100) == b"[1]"
    assert await read_body(pieces(gzip.compress(b"[1]")), f"{name}, gzip", 100) == b"[1]"
    assert await read_body(pieces(gzip.compress(b"[1]")), f"gzip,{name}", 100) == b"[1]"


@pytest.mark.parametrize("size", [1, 7, 25, 10_000])
@pytest.mark.parametrize("padding", [b"", bytes(600)])
async def test_all_members_of_a_body_are_read(size: int, padding: bytes) -> None:
    packed = b"".join(gzip.compress(part) for part in (b"[1,", b"", b" 2,", b" 3]")) + padding
    assert await read_body(pieces(packed, size), "gzip", 100) == b"[1, 2, 3]"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("behind", [gzip.compress(b"]"), bytes(600)], ids=["a member", "zeros"])
async def test_a_member_larger_than_a_step_ends_in_one_piece_with_the_next(behind: bytes) -> None:
    """zlib then has the rest in two places: reading one of them never came to an end."""
    large = b"[" + b" " * MIB
    body = await read_body(pieces(gzip.compress(large) + behind, 64 * 1024), "gzip", 2 * MIB)
    assert body == large + (b"" if not behind.strip(b"\0") else b"]")


@pytest.mark.parametrize("cut", [1, 5, 12, 20, -1])
async def test_an_incomplete_compressed_body_is_refused(cut: int) -> None:
    packed = gzip.compress(b"[1, 2, 3]")
    with pytest.raises(MalformedResponse, match="incomplete"):
        await read_body(pieces(packed[:cut]), "gzip", 100)
    with pytest.raises(MalformedResponse, match="incomplete"):
        await read_body(pieces(packed + packed[:cut]), "gzip", 100)


async def test_bytes_behind_a_compressed_body_are_refused() -> None:
    with pytest.raises(MalformedResponse, match="cannot be decompressed"):
        await read_body(pieces(gzip.compress(b"[1]") + b"HTTP/1.1 200 OK"), "gzip", 100)


async def test_an_empty_body_may_have_a_content_encoding() -> None:
    assert await read_body(pieces(b""), "gzip", 100) == b""


async def test_the_number_of_gzip_members_is_limited() -> None:
    async def members() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield gzip.compress(b"") * 20

    with pytest.raises(MalformedResponse, match="too many gzip members"):
        await read_body(members(), "gzip", 10 * MIB)


async def test_a_body_in_tiny_chunks_yields_to_other_tasks_and_is_refused() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    with pytest.raises(MalformedResponse, match="too large"):
        await read_body(pieces(b"x" * 30_000, 1), "", MIB)
    task.cancel()
    assert turns >= 199


async def test_broken_compression_is_refused() -> None:
    with pytest.raises(MalformedResponse, match="cannot be decompressed"):
        await read_body(pieces(b"not gzip at all"), "gzip", 100)


@pytest.mark.parametrize("spare", [0, -1])
@pytest.mark.parametrize("size", [100, 64 * 1024])
async def test_a_large_body_is_complete_and_limited_to_the_byte(size: int, spare: int) -> None:
    body = bytes(range(256)) * 8_192  # two MiB, in steps to the byte
    packed = gzip.compress(body, mtime=0)
    if spare == 0:
        assert await read_body(pieces(packed, size), "gzip", len(body)) == body
    else:
        with pytest.raises(MalformedResponse, match="too large"):
            await read_body(pieces(packed, size), "gzip", len(body) - 1)


@pytest.mark.parametrize("size", [MIB - 1, MIB, MIB + 1, 4 * MIB])
async def test_the_change_to_a_mapping_loses_no_byte(size: int) -> None:
    body = random.Random(size).randbytes(size)
    assert await read_body(pieces(body, 100_000), "", 4 * MIB) == body


def test_the_memory_of_incomplete_bodies_is_freed() -> None:
    """In a process of its own: malloc remembers what others did before."""
    run = subprocess.run(  # noqa: S603 - our own lines
        [sys.executable, "-c", FOUR_WITHOUT_END], capture_output=True, text=True, check=True
    )
    before, after = (int(text) for text in run.stdout.split())
    assert after - before < 30 * MIB / 1024, "of 128 MiB"


FOUR_WITHOUT_END = """
import asyncio, contextlib
from backend.errors import MalformedResponse
from backend.providers.bounded_body import read_body

kept = []

async def endless():
    while True:
        yield bytes(60_000)
        kept.append(bytearray(100))  # what others need meanwhile
        await asyncio.sleep(0)

async def refused():
    with contextlib.suppress(MalformedResponse):
        await read_body(endless(), "", 32 * 1024 * 1024)

async def four():
    await asyncio.gather(*(refused() for _ in range(4)))

def resident_kb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4

before = resident_kb()
asyncio.run(four())
print(before, resident_kb())
"""


@pytest.mark.parametrize("most", [4 * MIB, 32 * MIB])
async def test_a_gzip_bomb_is_refused_without_its_memory(most: int) -> None:
    bomb = gzip.compress(bytes(200 * MIB), 9)
    assert len(bomb) < MIB
    with growth() as grown, pytest.raises(MalformedResponse, match="too large"):
        await read_body(pieces(bomb, 64 * 1024), "gzip", most)
    assert grown.mb < 1.05 * (most + 4 * MIB) / 1e6
