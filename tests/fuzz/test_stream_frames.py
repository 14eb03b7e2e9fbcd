"""Whatever a client of the stream says, it gets one answer, and nobody else notices."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from api.stream.commands import CommandError, parse_command
from tests.api.stream.client import Reader, Served
from tests.fuzz.budget import budget
from tests.fuzz.mutations import STEPS, Step, mutated

COMMANDS: list[dict[str, Any]] = [
    {"op": "subscribe", "id": 1, "channel": "market", "symbols": ["BTC", "ETH"]},
    {"op": "subscribe", "id": "two", "channel": "ohlc", "symbols": ["BTC"], "interval": "1h"},
    {"op": "subscribe", "channel": "news", "symbols": ["BTC"]},
    {"op": "subscribe", "id": 3, "channel": "status"},
    {"op": "unsubscribe", "id": 4, "channel": "ohlc", "symbols": ["BTC"], "interval": "1h"},
    {"op": "ping", "id": 9},
]
ANSWERS = ("pong", "subscribed", "unsubscribed", "error")
#: Of docs/stream.md; `internal_error` would be a bug.
CODES = {
    *("bad_frame", "unknown_op", "unknown_channel", "unknown_symbol", "invalid_parameter"),
    *("too_many_topics", "not_ready", "all_providers_failed", "quota_exhausted"),
}
DEEP = "[" * 1_000 + "]" * 1_000
ODD = (
    *("", " ", "\x00", "null", "[]", "{}", "[" * 60_000, '{"op":' * 10_000, "9" * 60_000, "NaN"),
    *('"\\ud800"', '{"op":"ping","op":"dance"}', '{"op":"ping","id":1e999}', "\ufeff{}", "\u2028"),
    *(f'{{"op":{DEEP}}}', f'{{"op":"ping","id":{DEEP}}}', f'{{"op":"ping","id":"{"x" * 60_000}"}}'),
    *(f'{{"op":"subscribe","channel":{DEEP}}}', f'{{"op":"{"x" * 60_000}"}}'),
    f'{{"op":"subscribe","channel":"ohlc","symbols":["BTC"],"interval":{DEEP}}}',
    f'{{"op":"subscribe","channel":"market","symbols":{DEEP}}}',
    '{"op":"ping","id":' + "9" * 4_000 + "}",
    '{"op":"ping","id":"\\u0000\\u202e"}',
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)


@st.composite
def changed_commands(draw: st.DrawFn) -> str:
    steps: list[Step] = draw(STEPS)
    note(repr(steps))
    return as_json(mutated(draw(st.sampled_from(COMMANDS)), steps))


def as_json(value: Any) -> str:
    try:
        return json.dumps(value)
    except (RecursionError, ValueError):
        return DEEP


TEXT_FRAMES = st.sampled_from(ODD) | TEXTS | VALUES.map(as_json) | changed_commands()
FRAMES = TEXT_FRAMES | changed_commands() | st.binary(max_size=80)


@pytest.fixture
async def observer(served: Served, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Reader]:
    """A reader beside all others, who is not disturbed; nor is the server, by its own word."""
    async with served.reader("?channels=gas") as reader:
        await reader.next(op="data")
        yield reader
        await reader.say(op="ping", id="still here")
        await reader.next(op="pong", id="still here")
        assert {frame["op"] for frame in reader.seen} <= {
            "hello",
            "subscribed",
            "data",
            "heartbeat",
            "pong",
        }
    assert [record for record in caplog.records if record.exc_info] == []


async def answer(reader: Reader) -> dict[str, Any]:
    """What answers a command; data and trouble of channels come in between."""
    while True:
        frame = await reader.any()
        if frame["op"] in ANSWERS and not (frame["op"] == "error" and "channel" in frame):
            return frame


def assert_answer(frame: dict[str, Any]) -> None:
    if frame["op"] == "error":
        assert frame["code"] in CODES
        assert 0 < len(frame["message"]) < 600
        assert len(json.dumps(frame["id"])) < 500


@budget(60)
@given(said=st.lists(FRAMES, min_size=1, max_size=6))
async def test_whatever_is_said_is_answered_and_a_good_command_afterwards(
    served: Served, observer: Reader, said: list[str | bytes]
) -> None:
    async with served.reader() as reader:
        for frame in said:
            await reader.connection.send(frame)
            assert_answer(await answer(reader))
        await reader.say(op="ping", id="after")
        assert await answer(reader) == {"op": "pong", "id": "after"}


async def test_odd_texts_are_answered_one_by_one(served: Served, observer: Reader) -> None:
    for said in ODD:
        async with served.reader() as reader:
            await reader.connection.send(said)
            assert_answer(await answer(reader))


@budget(60)
@given(said=TEXT_FRAMES, sizes=st.lists(st.integers(1, 30), min_size=1, max_size=12))
async def test_a_message_in_fragments_is_answered_once(
    served: Served, observer: Reader, said: str, sizes: list[int]
) -> None:
    async with served.reader() as reader:
        await reader.connection.send(fragments(said, sizes))
        assert_answer(await answer(reader))
        await reader.say(op="ping", id="after")
        assert await answer(reader) == {"op": "pong", "id": "after"}


def fragments(said: str, sizes: list[int]) -> list[str]:
    parts, at = [], 0
    for size in sizes:
        parts.append(said[at : at + size])
        at += size
    return [*parts, said[at:]]


@budget(60)
@given(
    channels=TEXTS | st.sampled_from(["market", "gas,,gas", "ohlc", "market," * 30, "status"]),
    symbols=TEXTS | st.sampled_from(["BTC", "BTC,btc,bitcoin", "," * 90, "x" * 300]),
    interval=TEXTS | st.sampled_from(["1h", "1H", "1M"]),
)
async def test_whatever_an_address_asks_for_the_conversation_begins(
    served: Served, observer: Reader, channels: str, symbols: str, interval: str
) -> None:
    asked = {"channels": channels, "symbols": symbols, "interval": interval}
    query = str(httpx.QueryParams(asked))
    async with served.reader(f"?{query}") as reader:
        assert (await reader.any())["op"] == "hello"
        await reader.say(op="ping", id="after")
        await reader.next(op="pong", id="after")
    for frame in reader.seen:
        if "channel" not in frame:
            assert_answer(frame)


@budget(500)
@given(said=TEXT_FRAMES)
def test_a_text_is_a_command_or_refused(said: str) -> None:
    code, told = "", b""
    try:
        parse_command(said)
    except CommandError as refusal:
        code, told = refusal.code, orjson.dumps([str(refusal), refusal.id])
    assert code in {"", *CODES}
    assert len(told) < 600
