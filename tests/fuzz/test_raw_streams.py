"""Binance's streams: whatever a client says or the vendor sends, nobody gets broken JSON."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from api.facades.binance.streams.commands import (
    METHODS,
    Command,
    InvalidCommand,
    error_of,
    parse_command,
    result_of,
)
from backend.errors import ProviderError
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.push.raw_streams import RawStreams
from backend.orchestration.push.raw_subscriptions import RawSubscriptions
from backend.providers.adapter import Window
from backend.providers.vendors.binance_raw_streams import RAW_FEED
from tests.clocks import ManualClock
from tests.fuzz.budget import budget
from tests.fuzz.mutations import STEPS, Step, mutated
from tests.fuzz.test_stream_frames import ODD, VALUES
from tests.orchestration.push.test_tick_stream import Venue

COMMANDS: list[dict[str, Any]] = [
    {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "!miniTicker@arr"], "id": 1},
    {"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": "two"},
    {"method": "LIST_SUBSCRIPTIONS", "id": None},
    {"method": "SET_PROPERTY", "params": ["combined", True], "id": 4},
    {"method": "GET_PROPERTY", "params": ["combined"], "id": 5},
]
MESSAGES = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","p":"86000.10","q":[1,2.5,null]}}',
    b'{"stream": "!miniTicker@arr", "data": [{"s": "BTCUSDT"}, {"s": "\\u5e01"}]}',
    b'{"result":["btcusdt@trade"],"id":3}',
    b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}',
)


def assert_answered(text: str | None) -> None:
    """By a reply that is JSON, short, and has a valid id."""
    try:
        command = parse_command(text)
    except InvalidCommand as invalid:
        reply = error_of(invalid).text
    else:
        assert isinstance(command, Command)
        assert command.method in METHODS
        reply = result_of(command).text
    answer = orjson.loads(reply)
    assert len(reply) < 500
    assert answer.get("code", 0) in (0, 1, 2, 3)
    assert answer.get("id") is None or isinstance(answer["id"], int | str)


@budget(300)
@given(number=st.integers(0, len(COMMANDS) - 1), steps=STEPS)
def test_a_wrong_command_is_answered(number: int, steps: list[Step]) -> None:
    note(repr(steps))
    try:
        text = json.dumps(mutated(COMMANDS[number], steps))
    except (TypeError, ValueError, RecursionError):
        return
    assert_answered(text)


@budget(200)
@given(method=st.sampled_from(METHODS), params=VALUES, id_sent=VALUES)
def test_any_value_is_answered(method: str, params: Any, id_sent: Any) -> None:
    assert_answered(json.dumps({"method": method, "params": params, "id": id_sent}))


@pytest.mark.parametrize("text", [None, *ODD], ids=range(len(ODD) + 1))
def test_odd_texts_are_answered(text: str | None) -> None:
    assert_answered(text)


@budget(400)
@given(
    number=st.integers(0, len(MESSAGES) - 1),
    place=st.integers(0, 200),
    token=st.binary(max_size=6) | st.sampled_from([b'"', b"}", b"{", b",", b'"data":', b"\\"]),
    length=st.integers(0, 20),
)
async def test_a_message_with_broken_bytes_is_a_frame_or_nothing(
    number: int, place: int, token: bytes, length: int
) -> None:
    clock, message = ManualClock(), MESSAGES[number]
    at = place % len(message)
    text = message[:at] + token + message[at + length :]
    streams = RawStreams(
        "binance",
        RAW_FEED,
        Venue().connect,
        connects=RateLimitGuard(clock, [Window(300, 300)]),
        clock=clock,
        emit=lambda _event: None,
        jitter=lambda: 1.0,
    )
    try:
        frame = streams._parse(text, RawSubscriptions(clock, RAW_FEED))
    except ProviderError:
        return
    if frame is not None:
        envelope = {"stream": frame.stream, "data": orjson.loads(frame.data)}
        assert orjson.loads(frame.combined) == envelope
