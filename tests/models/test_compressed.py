"""Bodies of vendors, as they are kept and sent to other processes."""

from base64 import b64encode
from datetime import UTC, datetime

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from backend.categories import PASS_THROUGH
from backend.models.answer import Answer
from backend.models.compressed import MOST_BYTES, packed, unpacked
from backend.models.pass_through import PassThroughQuery, VendorAnswer

QUERY = PassThroughQuery("binance", "/api/v3/exchangeInfo", outlives_restart=True)


@given(body=st.binary(max_size=300))
def test_an_answer_is_the_same_after_it_was_kept(body: bytes) -> None:
    codec = PASS_THROUGH.retention.codec
    answer = Answer(VendorAnswer(200, body), "binance", datetime(2026, 11, 22, tzinfo=UTC), 1.0)
    kept = codec.decoded(codec.encoded(QUERY, answer))
    assert kept is not None
    assert (kept.query, kept.data) == (QUERY, answer.data)


def test_a_large_body_is_kept_small() -> None:
    assert len(packed(b'{"symbol":"BTCUSDT","status":"TRADING"},' * 100_000)) < 40_000


def _bomb() -> str:
    """4 kB that say that they are 64 MiB."""
    frame = zstandard.ZstdCompressor().compress(bytes(2 * MOST_BYTES))
    return b64encode(frame).decode()


def _without_size() -> str:
    compress = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    frame = compress.compress(bytes(2 * MOST_BYTES)) + compress.flush()
    return b64encode(frame).decode()


@pytest.mark.parametrize("text", ["", "?", "AAAA", "{}", packed(b"a" * 99)[:-4], 7, None])
def test_what_was_not_packed_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unpacked(text)


@pytest.mark.parametrize("make", [_bomb, _without_size])
def test_a_frame_of_too_many_bytes_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r".+"):
        unpacked(make())
