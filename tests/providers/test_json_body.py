"""JSON with a character that no text may hold costs that character, not the answer."""

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.providers.json_body import decode_json


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (rb'["\ud83d"]', ["�"]),
        (rb'["x\udE80y"]', ["x�y"]),
        (rb'["\ud83d\ud83d\ude80"]', ["�\U0001f680"]),
        (rb'["\uD83D\uDE80"]', ["\U0001f680"]),
        (rb'["\\ud83d", "\ud83d"]', ["\\ud83d", "�"]),
        (rb'["\\\ud83d\n"]', ["\\�\n"]),
        (b'["\xff\xfe", 1]', ["��", 1]),
        (b'["\xed\xa0\xbd"]', ["���"]),
    ],
)
def test_an_invalid_character_becomes_the_replacement_character(body: bytes, value: Any) -> None:
    assert decode_json(body) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xef\xbb\xbf",
        b"<html>",
        b"[nan]",
        b'["\\ud83d"',
        b"[" * 100_000,
        b"\xff",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_body_that_is_not_json_has_no_value(body: bytes) -> None:
    assert decode_json(body) is None


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (b"-Infinity", -math.inf),
        (b"1e400", math.inf),
        (b"9" * 400, 10**400 - 1),
        (b'"bit\ncoin\x1b"', "bit\ncoin\x1b"),
        (b'"\x00"', "\x00"),
    ],
    ids=lambda cell: repr(cell)[:12],
)
def test_an_invalid_number_or_control_character_costs_only_its_field(
    cell: bytes, value: Any
) -> None:
    assert decode_json(b'[{"id": "a"}, {"id": %b}]' % cell) == [{"id": "a"}, {"id": value}]


def test_nan_stays_nan_and_no_row_with_it_is_accepted() -> None:
    (value,) = decode_json(b"[NaN]")
    assert math.isnan(value)


@pytest.mark.parametrize("piece", [rb"\n", rb"\ud800", rb"\ud8zz", b'"",', b"\\", b"[", b'{"a":'])
def test_repairs_take_linear_time(piece: bytes) -> None:
    body = b'["' + piece * (1_000_000 // len(piece)) + b'\x00"]'
    began = time.process_time()
    decode_json(body)
    assert time.process_time() - began < 2  # 0.1 s; quadratic would be hours


@given(st.recursive(st.text() | st.integers(0, 9), st.lists))
def test_valid_json_is_read_as_by_the_standard_library(value: Any) -> None:
    assert decode_json(json.dumps(value).encode()) == value


@given(st.text(st.characters(max_codepoint=0xFFFF)).filter(lambda text: not text.isascii()))
def test_the_result_has_no_lone_surrogate(text: str) -> None:
    body = json.dumps([text + "\ud83d"]).encode()
    (found,) = decode_json(body)
    found.encode()
