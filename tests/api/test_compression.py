"""Which coding a client gets, and that what it gets is the body."""

import asyncio
import gzip
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from api.cache.body import CODINGS, IDENTITY, THREAD_BYTES, body_of, coding_for, compressed
from api.encoding import to_json
from backend.services.page import Page
from tests.api.conftest import Serve
from tests.api.test_responder import answer, request, uncached_responder
from tests.memory import kept_bytes

UNPACK = {
    "zstd": lambda body: zstandard.ZstdDecompressor().decompress(body),
    "br": brotli.decompress,
    "gzip": gzip.decompress,
}


@pytest.mark.parametrize(
    ("accepts", "coding"),
    [
        ("", IDENTITY),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("GZIP", "gzip"),
        ("br;q=0.2, gzip;q=0.9", "gzip"),
        ("zstd;q=0, *", "br"),
        ("*;q=0", IDENTITY),
        ("identity", IDENTITY),
        ("deflate", IDENTITY),
        ("gzip;q=nonsense", IDENTITY),
        ("gzip;level=9", IDENTITY),
        ("gzip;q=0.1234", IDENTITY),
        ("gzip;q=1.001", IDENTITY),
        ("gzip;q=2", IDENTITY),
        ("gzip;q=-1", IDENTITY),
        ("gzip;q=.5", IDENTITY),
        ("gzip;q=1.000", "gzip"),
        ("gzip ; Q=0.001", "gzip"),
        ("gzip;q=0.5, identity", IDENTITY),
        ("gzip, identity;q=0.5", "gzip"),
        ("*;q=0, gzip", "gzip"),
        ("*;q=0.5", "zstd"),
        ("identity;q=0, *;q=0", IDENTITY),
        (f"{'x' * 1_020},gzip;q=0", IDENTITY),
    ],
)
def test_the_best_accepted_coding_is_chosen(accepts: str, coding: str) -> None:
    assert coding_for(accepts) == coding


@pytest.mark.parametrize(
    ("accepts", "coding"),
    [
        ("gzip", IDENTITY),
        ("gzip, *;q=0", "gzip"),
        ("gzip, identity;q=0", "gzip"),
        ("gzip, identity;q=0.1", IDENTITY),
        ("identity;q=0", IDENTITY),
    ],
)
def test_a_small_body_is_coded_only_if_identity_is_refused(accepts: str, coding: str) -> None:
    assert coding_for(accepts, is_small=True) == coding


MEMBERS = st.tuples(
    st.sampled_from([*CODINGS, "identity", "*", "deflate"]),
    st.sampled_from(["", ";q=0", ";q=0.0", ";q=0.3", ";q=1", ";q=x", ";q=2", "; q = 1"]),
)


@given(st.lists(MEMBERS, max_size=6, unique_by=lambda member: member[0]), st.booleans())
def test_a_refused_coding_is_never_chosen(members: list[tuple[str, str]], is_small: bool) -> None:
    weights = dict(members)
    chosen = coding_for(", ".join(map("".join, members)), is_small=is_small)
    refused = {";q=0", ";q=0.0", ";q=x", ";q=2", "; q = 1"}
    if chosen != IDENTITY:
        assert weights.get(chosen, weights.get("*", ";q=0")) not in refused


@given(st.text(max_size=3_000))
def test_every_header_value_gives_a_known_coding(accepts: str) -> None:
    assert coding_for(accepts) in (*CODINGS, IDENTITY)


@pytest.mark.parametrize("coding", CODINGS)
@given(st.binary(max_size=5_000))
def test_a_body_survives_compression(coding: str, body: bytes) -> None:
    assert UNPACK[coding](compressed(body, coding)) == body


async def test_each_coding_has_the_same_body_and_its_own_tag(serve: Serve) -> None:
    client = await serve()
    tags, bodies = set(), set()
    for accepts in ("identity", "gzip", "br", "zstd"):
        got = await client.get("/api/market", headers={"Accept-Encoding": accepts})
        assert got.headers.get("content-encoding", "identity") == accepts
        assert "Accept-Encoding" in got.headers["vary"]
        tags.add(got.headers["etag"])
        bodies.add(got.content)
        condition = {"If-None-Match": got.headers["etag"], "Accept-Encoding": "br"}
        assert (await client.get("/api/market", headers=condition)).status_code == 304
    assert len(tags) == 4
    assert len(bodies) == 1


async def test_all_lines_of_a_header_are_read(serve: Serve) -> None:
    client = await serve(PREPARED_ANSWERS="false")
    lines = [("Accept-Encoding", "br;q=0, zstd;q=0"), ("Accept-Encoding", "gzip")]
    got = await client.get("/api/market", headers=lines)
    assert got.headers["content-encoding"] == "gzip"
    condition = [("If-None-Match", '"other"'), ("If-None-Match", got.headers["etag"])]
    assert (await client.get("/api/market", headers=condition)).status_code == 304


async def test_small_responses_are_not_compressed(serve: Serve) -> None:
    client = await serve()
    for path in ("/healthz", "/api/market?limit=1&format=csv"):
        got = await client.get(path, headers={"Accept-Encoding": "gzip"})
        assert "content-encoding" not in got.headers


async def test_a_large_body_is_compressed_once_for_concurrent_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []

    def watched(body: bytes, coding: str) -> bytes:
        made.append(coding)
        return compressed(body, coding)

    monkeypatch.setattr("api.cache.body.compressed", watched)
    responder, wanted = uncached_responder(), request()
    wanted.scope["headers"] = [(b"accept-encoding", b"br")]
    large = b"[1]" * THREAD_BYTES

    async def one() -> bytes:
        page: Page[Any] = Page((), 0)
        got = await responder.respond(
            wanted, answer(), "view", lambda: page, encode=lambda _a, _p: (large, "a/b")
        )
        return bytes(got.body)

    bodies = await asyncio.gather(*(one() for _ in range(5)))
    assert {brotli.decompress(body) for body in bodies} == {large}
    assert made == ["br"]


def test_a_body_is_kept_in_as_many_bytes_as_it_has() -> None:
    """The encoder's own buffer would have four times as many."""
    rows = ["x" * 100] * 170
    content = to_json(rows)
    assert kept_bytes(lambda: body_of(to_json(rows), "application/json")) < len(content) + 2_000
