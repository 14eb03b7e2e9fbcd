"""Frames of Binance's stream made wrong: no tick, or a plausible one."""

from typing import Any

import orjson
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from backend.errors import MalformedResponse
from backend.models.ohlc import HOUR
from backend.providers.adapter import Context
from backend.providers.client import parsed
from backend.providers.vendors.binance_stream import PUSH_FEED
from tests.clocks import EPOCH_MS
from tests.fuzz.budget import budget
from tests.fuzz.mutations import STEPS, Step, mutated
from tests.fuzz.plausible import assert_plausible
from tests.world import push

CONTEXT = Context("binance", "push", EPOCH_MS)
OPEN_MS = EPOCH_MS // HOUR * HOUR
PAIRS = ("BTCUSDT", "ETHFDUSD", "ETHBTC", "EURUSDT", *(f"C{n}USDT" for n in range(8)))
CANDLE = push.candle_told("BTCUSDT", "1h", OPEN_MS, 100.0)
FRAMES: dict[str, Any] = {
    "tickers": {
        "stream": "!miniTicker@arr",
        "data": [push.mini_ticker(pair, 100.0, E=EPOCH_MS) for pair in PAIRS],
    },
    "candle": {"stream": "btcusdt@kline_1h", "data": CANDLE | {"E": EPOCH_MS}},
    "answer": {"result": None, "id": 7},
    "goodbye": {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": EPOCH_MS}},
}
each_frame = pytest.mark.parametrize("name", FRAMES)


def assert_handled(frame: Any) -> None:
    assert isinstance(PUSH_FEED.is_shutdown_notice(frame), bool)
    try:
        tick = parsed(PUSH_FEED.parse, frame, CONTEXT)
    except MalformedResponse:
        return
    if tick is not None:
        assert_plausible(tick)


def test_the_right_frames_are_ticks() -> None:
    for name in ("tickers", "candle"):
        assert_plausible(parsed(PUSH_FEED.parse, FRAMES[name], CONTEXT))
    assert PUSH_FEED.is_shutdown_notice(FRAMES["goodbye"])


@each_frame
@budget(150)
@given(steps=STEPS)
def test_a_wrong_frame_is_junk_or_plausible(name: str, steps: list[Step]) -> None:
    note(repr(steps))
    try:
        text = orjson.dumps(mutated(FRAMES[name], steps))
    except TypeError:  # what no text can hold: half characters, integers of a thousand digits
        return
    assert_handled(orjson.loads(text))


@each_frame
@budget(60)
@given(place=st.integers(0, 2_000), token=st.binary(max_size=4), length=st.integers(0, 20))
def test_a_frame_with_broken_bytes_is_handled(
    name: str, place: int, token: bytes, length: int
) -> None:
    text = orjson.dumps(FRAMES[name])
    at = place % len(text)
    try:
        frame = orjson.loads(text[:at] + token + text[at + length :])
    except orjson.JSONDecodeError:
        return  # what push_client.py makes of it is tested there
    assert_handled(frame)
