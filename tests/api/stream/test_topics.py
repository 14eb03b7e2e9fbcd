"""Topics: whoever applies what they say is always where they are."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.stream.channels import Channel, Content
from api.stream.frames import Frame
from api.stream.topics import MAX_CACHED_ROWS, RowCache, Topic
from backend.errors import AllProvidersFailed, DeadlineExceeded
from backend.models.status import Refusal
from backend.models.ticks import Flow
from tests.api.stream.applying import Applied
from tests.clocks import ManualClock


async def no_answers() -> AsyncGenerator[Any]:
    yield None


def channel(name: str) -> Channel:
    """Channels whose rows are dictionaries, as they stand on the wire."""
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


def shown(data: Any, reason: str | None = None) -> Content:
    return Content(data, {"count": len(data), "stale_reason": reason}, reason)


def coin(id: str, rank: int | None, price: float) -> dict[str, Any]:  # noqa: A002 - the row's word
    return {"id": id, "market_cap_rank": rank, "price": price}


def read(frames: list[Frame]) -> list[dict[str, Any]]:
    return [json.loads(told.text) for told in frames]


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
def test_a_reader_that_applies_what_it_gets_always_equals_rest(
    name: str, states: st.SearchStrategy[list[dict[str, Any]]], data: st.DataObject
) -> None:
    """From whatever moment it joins, and whatever it missed while it lagged."""
    shows, early = topic(name), Applied(name)
    late: Applied | None = None
    for number, state in enumerate(data.draw(st.lists(states, min_size=1, max_size=8))):
        frames = read(shows.update(Content(state, {"count": len(state), "number": number})))
        early.take(frames[0])
        if late and data.draw(st.booleans()):
            late.take(frames[0])
        elif late or data.draw(st.booleans()):  # it joins, or has missed this one
            late = late or Applied(name)
            late.take(read(shows.current_frames(after_lag=True))[0])
        assert early.data == state
        assert late is None or (late.data, late.seq) == (early.data, early.seq)


def test_an_update_holds_only_the_rows_that_changed() -> None:
    shows = topic()
    one, two = coin("a", 1, 1.0), coin("b", 2, 1.0)
    shows.update(shown([one, two]))
    (update,) = read(shows.update(shown([one, {**two, "price": 2.0}])))
    assert (update["type"], update["seq"]) == ("update", 2)
    assert update["data"] == [{**two, "price": 2.0}]


def test_what_an_update_cannot_say_a_snapshot_says() -> None:
    shows = topic()
    one, two, three = coin("a", None, 1.0), coin("b", None, 1.0), coin("c", None, 1.0)
    shows.update(shown([one, two, three]))
    (dropped,) = read(shows.update(shown([two, three])))
    assert (dropped["type"], dropped["data"]) == ("snapshot", [two, three])
    (turned,) = read(shows.update(shown([three, two])))
    assert (turned["type"], turned["data"], turned["seq"]) == ("snapshot", [three, two], 3)


def test_an_object_comes_whole() -> None:
    shows = topic("gas")
    shows.update(Content({"fast": 1}, {}))
    (update,) = read(shows.update(Content({"fast": 2}, {})))
    assert (update["type"], update["data"]) == ("update", {"fast": 2})


def test_a_snapshot_is_encoded_once_for_all_until_the_next_state() -> None:
    shows = topic()
    shows.update(shown([coin("a", 1, 1.0)]))
    first = shows.snapshot()
    assert shows.snapshot() is first
    assert first.wire is first.wire
    assert first.sse is first.sse
    shows.update(shown([coin("a", 1, 2.0)]))
    assert shows.snapshot() is not first


def test_rows_are_encoded_once_for_all_topics() -> None:
    rows, row = RowCache(), coin("a", 1, 1.0)
    assert rows.encoded("a", row) is rows.encoded("a", row)
    assert rows.encoded("a", dict(row)) is not rows.encoded("a", row)
    for number in range(3 * MAX_CACHED_ROWS):
        rows.encoded(number, row)
    assert len(rows) <= MAX_CACHED_ROWS


def test_going_stale_and_live_again_is_told_once_each() -> None:
    shows = topic()
    assert len(shows.update(shown([]))) == 1
    told = read(shows.update(shown([], "timeout")))
    assert [(frame["op"], frame.get("reason")) for frame in told] == [
        ("data", None),
        ("status", "timeout"),
    ]
    assert shows.update(shown([], "timeout")) == []
    assert read(shows.update(shown([])))[-1]["state"] == "live"


def test_trouble_before_there_is_anything_is_an_error_told_once() -> None:
    shows = topic()
    problem = AllProvidersFailed("nobody", [Refusal("a", "upstream_5xx")])
    told = read(shows.fail(problem))
    assert [frame["op"] for frame in told] == ["error", "status"]
    assert (told[0]["code"], told[1]["reason"]) == ("all_providers_failed", "upstream_5xx")
    assert shows.fail(problem) == []
    assert [frame["op"] for frame in read(shows.current_frames())] == ["error", "status"]
    assert [frame["op"] for frame in read(shows.update(shown([])))] == ["data", "status"]
    assert [frame["op"] for frame in read(shows.current_frames())] == ["data"]


def test_trouble_afterwards_is_a_change_of_state() -> None:
    shows = topic()
    shows.update(shown([]))
    (told,) = read(shows.fail(DeadlineExceeded("too long")))
    assert (told["op"], told["state"], told["reason"]) == ("status", "stale", "timeout")


def test_the_way_that_updates_come_is_told_when_it_changes() -> None:
    shows = topic()
    assert shows.set_flow(None) == []
    assert shows.set_flow(Flow(False)) == []
    assert read(shows.set_flow(Flow(True)))[0]["feed"] == "ticks"
    assert shows.set_flow(Flow(True)) == []
    assert read(shows.current_frames())[-1]["feed"] == "ticks"
    told = read(shows.set_flow(Flow(False, "timeout")))[0]
    assert (told["feed"], told["reason"]) == ("polled", "timeout")


def test_who_returns_is_told_all_that_may_have_changed() -> None:
    shows = topic()
    shows.update(shown([]))
    assert [frame["op"] for frame in read(shows.current_frames(after_lag=True))] == ["data"]
    shows.update(shown([], "timeout"))
    shows.update(shown([]))
    shows.set_flow(Flow(True))
    shows.set_flow(Flow(False))
    told = read(shows.current_frames(after_lag=True))
    assert [frame["op"] for frame in told] == ["data", "status", "feed"]
    assert [frame["op"] for frame in read(shows.current_frames())] == ["data"]


def test_a_state_that_is_the_same_is_no_state() -> None:
    shows = topic()
    one, two = coin("a", 1, 1.0), coin("b", 2, 1.0)
    shows.update(Content((one, two), {"count": 2}))
    assert shows.update(Content((one, dict(two)), {"count": 2})) == []
    assert shows.seq == 1
    (told,) = read(shows.update(Content((one, two), {"count": 2, "stale": False})))
    assert (told["seq"], told["data"]) == (2, [])  # refreshed, and nothing has changed


def test_a_topic_tells_its_state() -> None:
    assert repr(topic()) == "<Topic market () seq 0>"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 200_000])
def test_a_frame_on_the_wire_is_what_the_protocol_wants(size: int) -> None:
    from websockets.frames import Opcode
    from websockets.protocol import CLIENT, Protocol

    text = b"x" * size
    reader = Protocol(CLIENT, max_size=None)
    reader.receive_data(Frame(text, "market").wire)
    (event,) = reader.events_received()
    assert (event.opcode, event.data, event.fin) == (Opcode.TEXT, text, True)  # type: ignore[union-attr] # a frame


def test_an_event_is_what_a_browser_wants() -> None:
    assert Frame(b"{}", "market", 7).sse == b"event: market\nid: 7\ndata: {}\n\n"
    assert Frame(b"{}", "hello").sse == b"event: hello\ndata: {}\n\n"
