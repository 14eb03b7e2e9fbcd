"""Very large JSON is checked in steps, as strictly as by a parser."""

import json
import threading
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.providers import json_body
from backend.providers.json_body import valid_json
from backend.providers.large_json import is_json

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(max_size=6)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(value=VALUES, indent=st.sampled_from([None, 1]))
def test_every_json_is_json(value: Any, indent: int | None) -> None:
    assert is_json(json.dumps(value, indent=indent, ensure_ascii=False).encode())


@given(value=VALUES, place=st.integers(0, 10_000), byte=st.binary(max_size=2))
def test_a_damaged_body_is_json_only_to_a_parser_too(value: Any, place: int, byte: bytes) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()
    place %= len(body) + 1
    damaged = body[:place] + byte + body[place + 1 :]
    try:
        orjson.loads(damaged)
    except orjson.JSONDecodeError:
        assert not is_json(damaged) or _is_odd_number(damaged)
    else:
        assert is_json(damaged)


def _is_odd_number(body: bytes) -> bool:
    """A number that is too large for the parser is JSON all the same."""
    try:
        json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"{", b"[", b"[1", b"[1,", b"[1,]", b"[,1]", b"[1 2]", b"{}x", b"[] []"),
        *(b'{"a"}', b'{"a":}', b'{"a":1,}', b"{1:2}", b'{"a" 1}', b'{"a":1 "b":2}', b'{"a'),
        *(b"NaN", b"[NaN]", b"[Infinity]", b'{"a":[-Infinity]}', b"\xff", b'["\xff"]'),
        *(b"[" * 100_000, b'{"a":' * 50_000, b"[1}", b'{"a":1]', b'["\x01"]', b"tru", b"[01]"),
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_json_is_none(body: bytes) -> None:
    assert not is_json(body)


@pytest.fixture
def body() -> bytes:
    """Many rows, as of all pairs of a venue."""
    row = {"symbol": "BTCUSDT", "filters": [{"filterType": "A", "minPrice": "0.01"}] * 20}
    return json.dumps({"timezone": "UTC", "symbols": [row] * 5_000}).encode()


def test_a_very_large_body_is_passed_on_unparsed(body: bytes) -> None:
    assert len(body) > json_body.LARGE_BYTES
    assert valid_json(body) == (body, None)
    assert valid_json(json_body.BYTE_ORDER_MARK + body) == (body, None)


@pytest.mark.parametrize(
    ("damage", "repaired"),
    [(b"BTC\xff", "BTC\ufffd".encode()), (b"BTC\\ud800", b"BTC\\ufffd")],
)
def test_a_very_large_body_is_repaired_as_any_other(
    body: bytes, damage: bytes, repaired: bytes
) -> None:
    found = valid_json(body.replace(b"BTCUSDT", damage, 1))
    assert found is not None
    assert found[0] == body.replace(b"BTCUSDT", repaired, 1)


def test_a_very_large_body_that_is_cut_off_is_no_json(body: bytes) -> None:
    assert valid_json(body[:-2]) is None


def test_other_threads_run_while_a_very_large_body_is_checked(body: bytes) -> None:
    """One native call would let this thread run before it and after it only."""
    checker = threading.Thread(target=valid_json, args=(body,))
    late_s = []
    checker.start()
    while checker.is_alive():
        began = time.perf_counter()
        time.sleep(0.001)
        late_s.append(time.perf_counter() - began)
    assert len(late_s) >= 3
