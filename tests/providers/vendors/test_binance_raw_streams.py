"""Binance's streams by their own names: which are market data, and what messages look like."""

import json
import re
import time
from typing import Any

import pytest

from backend.models.raw_streams import CommandReply
from backend.providers.vendors.binance_raw_streams import (
    RAW_FEED,
    build_command,
    is_shutdown_notice,
    is_stream,
    parse_reply,
    split_frame,
)

MARKET_DATA = """
btcusdt@trade btcusdt@aggTrade btcusdt@blockTrade btcusdt@kline_1s btcusdt@kline_1m btcusdt@kline_1M
btcusdt@kline_12h btcusdt@kline_1d@+08:00 1000catsusdt@miniTicker btcusdt@ticker btcusdt@ticker_1h
btcusdt@ticker_4h btcusdt@ticker_1d btcusdt@bookTicker btcusdt@avgPrice btcusdt@referencePrice
btcusdt@depth btcusdt@depth@100ms btcusdt@depth@1000ms btcusdt@depth5 btcusdt@depth10
btcusdt@depth20@100ms 币安人生usdt@trade !miniTicker@arr !ticker@arr !ticker_1h@arr !ticker_4h@arr
!ticker_1d@arr !miniTicker@arr@1000ms !miniTicker@arr@3000ms
""".split()
#: Accounts, streams of other products, wrong spellings, and ways out of the name.
OTHERS = [
    *"""
BTCUSDT@trade BtcUsdt@trade btcusdt@Trade btcusdt@kline_1H btcusdt@kline_2m btcusdt@kline_1m@+09:00
btcusdt@depth7 btcusdt@depth5@10ms btcusdt@ticker_2h btcusdt@markPrice !bookTicker !userData@arr
!miniticker@arr !miniTicker@arr@2000ms
!ticker@arr@1000ms !MiniTicker@arr @trade btcusdt@ btcusdt trade !serverShutdown
pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1
btcusdt@trade/ethusdt@trade ../ws@trade btcusdt@trade?x=1 btcusdt@trade"
""".split(),
    "",
    "btcusdt@trade ",
    "btcusdt@trade\n",
    " btcusdt@trade",
    "btc usdt@trade",
    "a" * 51 + "@trade",
]


@pytest.mark.parametrize("name", MARKET_DATA)
def test_market_data_may_be_asked_for(name: str) -> None:
    assert is_stream(name)


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_else_may(name: str) -> None:
    assert not is_stream(name)


def test_a_long_name_is_refused_at_once() -> None:
    started = time.perf_counter()
    assert not is_stream("a." * 500_000 + "@trade")
    assert time.perf_counter() - started < 0.1


def test_commands_are_as_documented() -> None:
    assert json.loads(build_command("SUBSCRIBE", ["btcusdt@trade", "ethusdt@depth"], 7)) == {
        "method": "SUBSCRIBE",
        "params": ["btcusdt@trade", "ethusdt@depth"],
        "id": 7,
    }
    assert json.loads(build_command("LIST_SUBSCRIPTIONS", (), 8)) == {
        "method": "LIST_SUBSCRIPTIONS",
        "id": 8,
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'{"stream":"btcusdt@trade","data":{"p":"1"}}', ("btcusdt@trade", b'{"p":"1"}')),
        (b'{"stream": "!miniTicker@arr", "data": [{}, {}]}\n', ("!miniTicker@arr", b"[{}, {}]")),
        (b'{"stream":"\\u5e01usdt@trade","data":1}', ("币usdt@trade", b"1")),
        ('{"stream":"币usdt@trade","data":"}"}'.encode(), ("币usdt@trade", b'"}"')),
        (b'{"result":null,"id":1}', None),
        (b'{"e":"serverShutdown","E":1}', None),
        (b'{"data":{},"stream":"btcusdt@trade"}', None),
        (b"", None),
    ],
)
def test_the_data_of_a_frame_are_its_own_bytes(
    text: bytes, found: tuple[str, bytes] | None
) -> None:
    assert split_frame(text) == found


def test_a_large_frame_is_split_in_a_millisecond_or_so() -> None:
    data = b"[" + b",".join([b'{"s":"BTCUSDT","c":"1"}'] * 20_000) + b"]"
    started = time.perf_counter()
    assert split_frame(b'{"stream":"!miniTicker@arr","data":' + data + b"}") is not None
    assert time.perf_counter() - started < 0.1


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        ({"result": None, "id": 3}, CommandReply(3, is_refused=False)),
        ({"result": ["btcusdt@trade"], "id": 4}, CommandReply(4, is_refused=False)),
        ({"code": 2, "msg": "Invalid request", "id": 5}, CommandReply(5, is_refused=True)),
        ({"error": {"code": 2, "msg": "Invalid"}, "id": 6}, CommandReply(6, is_refused=True)),
    ],
)
def test_replies_are_accepted_or_refused(message: Any, reply: CommandReply) -> None:
    assert parse_reply(message) == reply


@pytest.mark.parametrize("message", [None, [], {}, {"id": 1}, {"id": None, "result": None}, "x", 1])
def test_anything_else_is_no_reply(message: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, IndexError)):
        parse_reply(message)


def test_the_shutdown_notice_is_known() -> None:
    assert is_shutdown_notice({"e": "serverShutdown", "E": 1770123456789})
    assert not any(map(is_shutdown_notice, ({"e": "trade"}, [], None, "serverShutdown")))


def test_commands_stay_below_the_limit() -> None:
    assert RAW_FEED.commands_per_s < 5
    assert RAW_FEED.most_streams == 1_024
    assert re.fullmatch("/[a-z]+", RAW_FEED.path)
