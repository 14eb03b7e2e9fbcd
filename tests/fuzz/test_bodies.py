"""Whole answers of any bytes, through the real client: an error of ours, or a plausible model."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from pydantic import SecretStr

from backend.errors import MalformedResponse, ProviderError
from backend.providers.client import ProviderClient
from backend.providers.json_body import BYTE_ORDER_MARK
from tests.clocks import ManualClock
from tests.fuzz.budget import budget, told_of
from tests.fuzz.mutations import STEPS, Step, mutated
from tests.fuzz.plausible import assert_plausible, leaves
from tests.fuzz.shapes import Shape, distinct_shapes

SHAPES = distinct_shapes()
#: As long as the longest key, of characters that stand as they are in JSON and in addresses.
KEY = "SECRET-0123456789abcdefghij"
#: orjson reads a thousand levels; Python's own recursion ends before.
DEEP = (b"[" * 1_000 + b"]" * 1_000, b'{"a":' * 1_000 + b"1" + b"}" * 1_000)
JUNK = (
    *(
        b"",
        b" ",
        b"null",
        b"true",
        b"0",
        b'""',
        b"[]",
        b"{}",
        b"[[]]",
        b"\x00" * 100,
        b"\xff" * 100,
    ),
    *(
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'"' + b"\\" * 99_999,
        *DEEP,
        b"[" + b"1," * 50_000 + b"1]",
    ),
    *(
        b"9" * 100_000,
        b"-" * 9,
        b"1e999999999",
        b"[1e400]",
        b"[NaN]",
        b'{"a":1,"a":2}',
        b'"\\ud800"',
    ),
    *(b'{"data":"\xff\xfe"}', b"\xef\xbb\xbf[]", "[]".encode("utf-16"), b"<html>soon</html>"),
    *(b"HTTP/1.1 200 OK\r\n\r\n", gzip.compress(b"[]"), b"<rss>" * 20_000, b"<rss><item>" * 9_000),
)
#: Where vendors put what goes wrong; a text is expected in each, and here stands what is none.
NESTED = tuple(
    template.replace(b"?", DEEP[0])
    for template in (
        b'{"status":"0","result":?}',
        b'{"status":"api_error","info":?}',
        b'{"status":{"error_code":?}}',
        b'{"status":"error","code":?,"message":?}',
        b'{"status":"error","code":"rateLimited","message":?}',
        b'[{"id":1,"error":?},{"id":2,"error":{"message":?}}]',
        b'{"code":?,"msg":?}',
        b'{"error":{"status":{"error_code":?}}}',
    )
)
STATUSES = st.sampled_from([200] * 6 + [201, 204, 206, 301, 304, 400, 401, 403, 404, 418, 429, 451])
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "date", "etag", "content-type", "x-mbx-used-weight-1m"]),
    st.sampled_from(["", "0", "-1", "1e9", "9" * 400, "tomorrow", "Sun, 22 Nov 2026 08:00:00"]),
    max_size=3,
)


@dataclass(frozen=True)
class Told:
    """An answer on the wire."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One loop for all: a new one for each example would take most of the time."""
    with asyncio.Runner() as made:
        yield made


def answered(runner: asyncio.Runner, shape: Shape, told: Told) -> Any:
    """What a provider's answer is to us. Raises whatever comes out."""

    async def ask() -> Any:
        def answer(_request: httpx.Request) -> httpx.Response:
            return httpx.Response(told.status, headers=told.headers, content=told.body)

        auth = (shape.plan.auth, SecretStr(KEY)) if shape.plan.auth else None
        url = shape.plan.base_urls[0]
        async with ProviderClient(ManualClock(), httpx.MockTransport(answer)) as client:
            calls = shape.operation.build(shape.query, shape.context)
            adapter = shape.spec.adapter
            replies = [await client.call(adapter, one, url, auth, 30.0) for one in calls]
        return shape.parse([reply.payload for reply in replies])

    return runner.run(ask())


def assert_handled(runner: asyncio.Runner, shape: Shape, told: Told) -> None:
    """An error in few words or a plausible answer, and the key in neither."""
    outcome: Any = None
    try:
        outcome = answered(runner, shape, told)
    except ProviderError as error:
        outcome = (str(error), error.http_status, error.retry_after_s)
        assert_brief(error)
    else:
        assert_plausible(outcome)
    assert not any(KEY in str(value) for value in leaves(outcome))


def assert_brief(error: ProviderError) -> None:
    assert len(str(error)) < 200


def encoded(payload: Any) -> bytes:
    return payload if isinstance(payload, bytes) else json.dumps(payload).encode()


each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
KEYED = [shape for shape in SHAPES if shape.plan.auth]


def is_an_answer(shape: Shape, body: bytes) -> bool:
    """A range may hold no candle, coins may have no market, `/key` may tell nothing we know."""
    name, body = shape.operation.name, body.removeprefix(BYTE_ORDER_MARK)
    may_be_empty = name in ("ohlc_range", "coins")
    return (may_be_empty and body == b"[]") or (name == "key" and body.startswith(b"{"))


def assert_malformed(runner: asyncio.Runner, shape: Shape, told: Told) -> None:
    with pytest.raises(ProviderError) as caught:
        answered(runner, shape, told)
    assert len(str(caught.value)) < 200


@each_shape
def test_junk_is_malformed(runner: asyncio.Runner, shape: Shape) -> None:
    for body in JUNK:
        if not is_an_answer(shape, body):
            assert_malformed(runner, shape, Told(body))


@each_shape
@pytest.mark.parametrize("status", [200, 400, 403, 429, 500])
def test_nesting_where_a_text_should_stand_is_an_error_of_ours(
    runner: asyncio.Runner, shape: Shape, status: int
) -> None:
    for body in NESTED:
        if status != 200 or not is_an_answer(shape, body):
            assert_malformed(runner, shape, Told(body, status))


@budget(40)
@given(body=st.binary(max_size=200), status=STATUSES, headers=HEADERS)
def test_any_bytes_are_an_error_of_ours(
    runner: asyncio.Runner, body: bytes, status: int, headers: dict[str, str]
) -> None:
    for shape in SHAPES:
        with told_of(shape):
            assert_handled(runner, shape, Told(body, status, tuple(headers.items())))


@budget(40)
@given(
    place=st.integers(0, 20_000),
    token=st.sampled_from([b"", b"\xff", b"\x00", b'"', b"[" * 2_000, b"9" * 400, b"e9", b"\\ud8"]),
    length=st.integers(0, 30),
    is_cut=st.booleans(),
)
def test_a_right_body_with_broken_bytes_is_handled(
    runner: asyncio.Runner, place: int, token: bytes, length: int, is_cut: bool
) -> None:
    for shape in SHAPES:
        body = encoded(shape.payloads[0])
        at = place % (len(body) + 1)
        rest = b"" if is_cut else body[at + length :]
        with told_of(shape):
            assert_handled(runner, shape, Told(body[:at] + token + rest))


@budget(40)
@given(steps=STEPS, status=STATUSES, headers=HEADERS)
def test_a_key_that_is_echoed_anywhere_comes_out_nowhere(
    runner: asyncio.Runner, steps: list[Step], status: int, headers: dict[str, str]
) -> None:
    note(repr(steps))
    for shape in KEYED:
        body = with_key(mutated(shape.payloads[0], steps), steps[0].place)
        with told_of(shape):
            assert_handled(runner, shape, Told(body, status, tuple(headers.items())))


def with_key(payload: Any, place: int) -> bytes:
    """The JSON, with the key in place of one of its texts."""
    try:
        text = json.dumps(payload)
    except (RecursionError, ValueError):
        return KEY.encode()
    parts = text.split('"')
    texts = range(1, len(parts), 2)
    if texts:
        parts[texts[place % len(texts)]] = f"is {KEY} a key"
    return '"'.join(parts).encode()


def test_a_body_that_never_ends_is_malformed(runner: asyncio.Runner) -> None:
    shape = next(shape for shape in SHAPES if shape.operation.name == "gasoracle")
    with pytest.raises(MalformedResponse, match="too large"):
        answered(runner, shape, Told(b" " * (1024 * 1024 + 1)))


def test_a_list_of_26_megabytes_is_refused_by_its_size(runner: asyncio.Runner) -> None:
    shape = next(shape for shape in SHAPES if shape.operation.name == "markets")
    rows = encoded(shape.payloads[0])[1:-1]
    body = b"[" + b",".join([rows] * (26 * 1024 * 1024 // len(rows))) + b"]"
    with pytest.raises(MalformedResponse, match="too large"):
        answered(runner, shape, Told(body))
