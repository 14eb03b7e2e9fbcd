"""Topics: a client that applies their frames always has their content."""

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.stream.channels import Channel, Content
from api.stream.protocol import Frame
from api.stream.topics import MAX_CACHED_ROWS, RowCache, Topic
from backend.errors import AllProvidersFailed, DeadlineExceeded, Unsupported
from backend.models.status import Refusal
from backend.models.ticks import Flow
from tests.api.stream.applying import Applied
from tests.clocks import ManualClock
from tests.memory import kept_bytes


async def no_answers() -> AsyncGenerator[Any]:
    yield None


def channel(name: str) -> Channel:
    """Channels whose rows are dictionaries, as on the wire."""
    rules: dict[str, dict[str, Any]] = {
        "market": {
            "row_key": lambda row: row["id"],
            "order": lambda row: (row["market_cap_rank"] is None, row["market_cap_rank"] or 0),
        },
        "ohlc": {
            "row_key": lambda row: row["timestamp"],
            "order": lambda row: row["timestamp"],
            "keeps_last": True,
        },
        "gas": {},
    }
    return Channel((name,), no_answers, lambda content, _coins: content, **rules[name])


def topic(name: str = "market") -> Topic:
    return Topic(channel(name), (), RowCache(), ManualClock())


def content(data: Any, reason: str | None = None) -> Content:
    return Content(data, {"count": len(data), "stale_reason": reason}, reason)


def coin(id: str, rank: int | None, price: float) -> dict[str, Any]:  # noqa: A002 - the row's word
    return {"id": id, "market_cap_rank": rank, "price": price}


def read(frames: list[Frame]) -> list[dict[str, Any]]:
    return [json.loads(frame.text) for frame in frames]


COINS = st.lists(
    st.builds(
        coin, st.sampled_from("abcdefgh"), st.none() | st.integers(1, 6), st.sampled_from([1, 2])
    ),
    max_size=8,
    unique_by=lambda row: row["id"],
)
CANDLES = st.lists(
    st.fixed_dictionaries({"timestamp": st.integers(0, 12), "close": st.sampled_from([1, 2])}),
    max_size=8,
    unique_by=lambda row: row["timestamp"],
).map(lambda rows: sorted(rows, key=lambda row: row["timestamp"]))


@pytest.mark.parametrize(("name", "states"), [("market", COINS), ("ohlc", CANDLES)])
@given(data=st.data())
def test_a_client_that_applies_the_frames_always_equals_rest(
    name: str, states: st.SearchStrategy[list[dict[str, Any]]], data: st.DataObject
) -> None:
    """Whenever it joins, and whatever it missed while it lagged."""
    subject, early = topic(name), Applied(name)
    late: Applied | None = None
    for number, state in enumerate(data.draw(st.lists(states, min_size=1, max_size=8))):
        frames = read(subject.update(Content(state, {"count": len(state), "number": number})))
        early.take(frames[0])
        if late and data.draw(st.booleans()):
            late.take(frames[0])
        elif late or data.draw(st.booleans()):  # it joins, or has missed this update
            late = late or Applied(name)
            late.take(read(subject.current_frames(after_lag=True))[0])
        assert early.data == state
        assert late is None or (late.data, late.seq) == (early.data, early.seq)


@given(
    before=COINS.filter(bool),
    changes=st.lists(st.dictionaries(st.integers(0, 7), st.sampled_from([3, 4])), max_size=5),
)
def test_known_changes_give_the_bytes_that_a_comparison_gives(
    before: list[dict[str, Any]], changes: list[dict[int, int]]
) -> None:
    compared, told = topic(), topic()
    state = sorted(before, key=channel("market").order)
    meta = {"count": len(state)}
    for one in (compared, told):
        one.update(Content(state, meta))
        one.update(Content([dict(row, price=9) for row in state], meta))  # it is in order
    state = [dict(row, price=9) for row in state]
    for prices in changes:
        rows = {
            at: {**state[at], "price": price} for at, price in prices.items() if at < len(state)
        }
        rows = {at: row for at, row in rows.items() if row != state[at]}
        state = [rows.get(at, row) for at, row in enumerate(state)]
        elsewhere = {"z": coin("z", 1, 5.0)}
        frames = told.update_rows({row["id"]: row for row in rows.values()} | elsewhere, None)
        assert frames is not None
        expected = compared.update(Content(state, meta))
        assert read(frames) == [
            {**one, "data": [state[at] for at in rows]} for one in read(expected)
        ]
        assert told.snapshot().text == compared.snapshot().text


def test_changes_are_not_applied_to_content_that_is_not_known_to_be_in_order() -> None:
    subject, row = topic(), coin("a", 1, 1.0)
    changed = {"a": {**row, "price": 2.0}}
    assert subject.update_rows(changed, None) is None
    subject.update(content([row]))
    assert subject.update_rows(changed, None) is None
    assert topic("gas").update_rows(changed, None) is None


def test_a_data_frame_has_its_fields_in_the_documented_order() -> None:
    subject = Topic(
        replace(channel("market"), labels={"chain": "base"}), (), RowCache(), ManualClock()
    )
    row = coin("a\ud800", 1, 1.0)
    (told,) = subject.update(Content([row], {"count": 1, "stale_reason": None}))
    assert told.text == (
        b'{"op":"data","channel":"market","chain":"base","type":"snapshot","seq":1,'
        b'"time":"2026-11-22T08:00:00.000Z",'
        b'"data":[{"id":"a?","market_cap_rank":1,"price":1.0}],'
        b'"meta":{"count":1,"stale_reason":null}}'
    )
    assert (told.event, told.seq) == ("market", 1)


def test_an_update_has_only_the_rows_that_changed() -> None:
    subject = topic()
    one, two = coin("a", 1, 1.0), coin("b", 2, 1.0)
    subject.update(content([one, two]))
    (update,) = read(subject.update(content([one, {**two, "price": 2.0}])))
    assert (update["type"], update["seq"]) == ("update", 2)
    assert update["data"] == [{**two, "price": 2.0}]


def test_a_change_that_no_update_can_express_is_a_snapshot() -> None:
    subject = topic()
    one, two, three = coin("a", None, 1.0), coin("b", None, 1.0), coin("c", None, 1.0)
    subject.update(content([one, two, three]))
    (dropped,) = read(subject.update(content([two, three])))
    assert (dropped["type"], dropped["data"]) == ("snapshot", [two, three])
    (turned,) = read(subject.update(content([three, two])))
    assert (turned["type"], turned["data"], turned["seq"]) == ("snapshot", [three, two], 3)


def test_an_update_of_one_row_reads_the_keys_of_no_other_row() -> None:
    read_keys: list[str] = []

    def row_key(row: dict[str, Any]) -> Any:
        read_keys.append(row["id"])
        return row["id"]

    rows = [coin(f"c{number}", number, 1.0) for number in range(250)]
    subject = Topic(replace(channel("market"), row_key=row_key), (), RowCache(), ManualClock())
    subject.update(content(rows))
    subject.update(content([coin("c0", 0, 2.0), *rows[1:]]))  # checks that the rows are in order
    read_keys.clear()
    (update,) = read(subject.update(content([coin("c0", 0, 3.0), *rows[1:]])))
    assert update["data"] == [coin("c0", 0, 3.0)]
    assert set(read_keys) == {"c0"}


def test_an_update_of_an_object_is_the_whole_object() -> None:
    subject = topic("gas")
    subject.update(Content({"fast": 1}, {}))
    (update,) = read(subject.update(Content({"fast": 2}, {})))
    assert (update["type"], update["data"]) == ("update", {"fast": 2})


def test_a_snapshot_is_encoded_once_until_the_content_changes() -> None:
    subject = topic()
    subject.update(content([coin("a", 1, 1.0)]))
    first = subject.snapshot()
    assert subject.snapshot() is first
    assert first.wire is first.wire
    assert first.sse is first.sse
    subject.update(content([coin("a", 1, 2.0)]))
    assert subject.snapshot() is not first


def test_rows_are_encoded_once_for_all_topics() -> None:
    rows, row = RowCache(), coin("a", 1, 1.0)
    assert rows.encoded("a", row) is rows.encoded("a", row)
    assert rows.encoded("a", dict(row)) is not rows.encoded("a", row)
    for number in range(3 * MAX_CACHED_ROWS):
        rows.encoded(number, row)
    assert len(rows._rows) <= MAX_CACHED_ROWS


def test_stale_and_live_are_sent_once_each() -> None:
    subject = topic()
    assert len(subject.update(content([]))) == 1
    sent = read(subject.update(content([], "timeout")))
    assert [(frame["op"], frame.get("reason")) for frame in sent] == [
        ("data", None),
        ("status", "timeout"),
    ]
    assert subject.update(content([], "timeout")) == []
    assert read(subject.update(content([])))[-1]["state"] == "live"


def test_a_failure_before_the_first_content_is_one_error() -> None:
    subject = topic()
    problem = AllProvidersFailed("none", [Refusal("a", "upstream_5xx")])
    sent = read(subject.fail(problem))
    assert [frame["op"] for frame in sent] == ["error", "status"]
    assert (sent[0]["code"], sent[1]["reason"]) == ("all_providers_failed", "upstream_5xx")
    assert subject.fail(problem) == []
    assert [frame["op"] for frame in read(subject.current_frames())] == ["error", "status"]
    assert [frame["op"] for frame in read(subject.update(content([])))] == ["data", "status"]
    assert [frame["op"] for frame in read(subject.current_frames())] == ["data"]


def test_a_later_failure_is_a_change_to_stale() -> None:
    subject = topic()
    subject.update(content([]))
    (sent,) = read(subject.fail(DeadlineExceeded("too long")))
    assert (sent["op"], sent["state"], sent["reason"]) == ("status", "stale", "timeout")


def test_a_feed_frame_is_sent_when_ticks_begin_or_end() -> None:
    subject = topic()
    assert subject.set_flow(None) == []
    assert subject.set_flow(Flow(False)) == []
    begun = read(subject.set_flow(Flow(True, venue="kraken")))[0]
    assert (begun["feed"], begun["venue"]) == ("ticks", "kraken")
    assert subject.set_flow(Flow(True, venue="kraken")) == []
    assert read(subject.current_frames())[-1]["feed"] == "ticks"
    sent = read(subject.set_flow(Flow(False, "timeout")))[0]
    assert (sent["feed"], sent["venue"], sent["reason"]) == ("polled", None, "timeout")


def test_after_a_lag_the_client_gets_the_whole_state() -> None:
    subject = topic()
    subject.update(content([]))
    assert [frame["op"] for frame in read(subject.current_frames(after_lag=True))] == ["data"]
    subject.update(content([], "timeout"))
    subject.update(content([]))
    subject.set_flow(Flow(True))
    subject.set_flow(Flow(False))
    sent = read(subject.current_frames(after_lag=True))
    assert [frame["op"] for frame in sent] == ["data", "status", "feed"]
    assert [frame["op"] for frame in read(subject.current_frames())] == ["data"]


def test_the_same_content_gives_no_frame() -> None:
    subject = topic()
    one, two = coin("a", 1, 1.0), coin("b", 2, 1.0)
    subject.update(Content((one, two), {"count": 2}))
    assert subject.update(Content((one, dict(two)), {"count": 2})) == []
    assert subject.seq == 1
    (sent,) = read(subject.update(Content((one, two), {"count": 2, "stale": False})))
    assert (sent["seq"], sent["data"]) == (2, [])  # refreshed, and nothing has changed


def test_the_repr_of_a_topic() -> None:
    assert repr(topic()) == "<Topic market () seq 0>"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 200_000])
def test_the_websocket_encoding_follows_the_protocol(size: int) -> None:
    from websockets.frames import Opcode
    from websockets.protocol import CLIENT, Protocol

    text = b"x" * size
    reader = Protocol(CLIENT, max_size=None)
    reader.receive_data(Frame(text, "market").wire)
    (event,) = reader.events_received()
    assert (event.opcode, event.data, event.fin) == (Opcode.TEXT, text, True)  # type: ignore[union-attr] # a frame


def test_the_sse_encoding_follows_the_specification() -> None:
    assert Frame(b"{}", "market", 7).sse == b"event: market\nid: 7\ndata: {}\n\n"
    assert Frame(b"{}", "hello").sse == b"event: hello\ndata: {}\n\n"


MAX_STALE_S = 300.0


def ageing_topic() -> tuple[Topic, ManualClock]:
    """Its content may be shown for five minutes, and was fetched now."""
    clock = ManualClock()
    subject = Topic(
        replace(channel("market"), max_stale_s=lambda: MAX_STALE_S), (), RowCache(), clock
    )
    rows = [coin("a", 1, 2.0)]
    subject.update(Content(rows, {"count": 1}, fetched_at=clock.now()))
    return subject, clock


def test_content_that_is_too_old_expires_and_is_no_longer_sent() -> None:
    subject, clock = ageing_topic()
    clock.advance(MAX_STALE_S - 1)
    (stale,) = read(subject.fail(AllProvidersFailed("all failed")))
    assert stale["state"] == "stale"
    clock.advance(1)
    error, expired = read(subject.fail(AllProvidersFailed("all failed")))
    assert (error["code"], error["message"]) == ("all_providers_failed", "all failed")
    assert (expired["state"], expired["reason"]) == ("expired", "timeout")
    assert [frame["op"] for frame in read(subject.current_frames())] == ["error", "status"]
    assert subject.fail(AllProvidersFailed("all failed")) == []


def test_expired_content_comes_back_as_a_snapshot_and_live() -> None:
    subject, clock = ageing_topic()
    clock.advance(MAX_STALE_S)
    subject.fail(AllProvidersFailed("all failed"))
    data, status = read(
        subject.update(Content([coin("a", 1, 3.0)], {"count": 1}, fetched_at=clock.now()))
    )
    assert (data["type"], data["data"][0]["price"]) == ("snapshot", 3.0)
    assert (status["state"], status["reason"]) == ("live", None)


def test_an_error_about_a_parameter_names_the_available_values() -> None:
    (sent, _) = read(topic().fail(Unsupported("interval", "1m", ("4h", "1d"))))
    assert (sent["code"], sent["parameter"], sent["available"]) == (
        "unsupported",
        "interval",
        ["4h", "1d"],
    )


def test_a_row_is_kept_in_as_many_bytes_as_its_json_has() -> None:
    """The encoder's own buffers would have 4 kB for each."""
    rows = [coin(f"c-{number}", number, 1.0) for number in range(100)]

    def kept() -> RowCache:
        cache = RowCache()
        for row in rows:
            cache.encoded(row["id"], row)
        return cache

    sizes = sum(len(kept().encoded(row["id"], row)) for row in rows)
    assert kept_bytes(kept) < sizes + 100 * 200  # 200 for the objects of each
