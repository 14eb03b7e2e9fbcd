"""Candles: one question for all limits, ranges on the grid, and how long each is fresh."""

import asyncio
import json
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.facades.binance.klines import newest_limit, newest_rows, normalized, whole_page
from backend.models.ohlc import DAY, HOUR, Interval
from backend.models.pass_through import PassThroughQuery
from tests.api.facades.binance.asking import answered, ask, asked
from tests.world import data
from tests.world.server import World

NOW_MS = 1_900_000_000_000
PAIR = {"symbol": "BTCUSDT", "interval": "1h"}


def question(**parameters: Any) -> PassThroughQuery:
    texts = sorted((name, str(value)) for name, value in {**PAIR, **parameters}.items())
    return PassThroughQuery("binance", "/api/v3/klines", tuple(texts), 2, 5.0, 60.0)


def asked_of(query: PassThroughQuery) -> dict[str, str]:
    return dict(normalized(query, NOW_MS).params)


async def test_forty_readers_of_one_question_cost_one_call(
    world: World, client: httpx.AsyncClient
) -> None:
    limits = [1, 24, 500, 1_000, None]
    questions = [{**PAIR, **({"limit": limit} if limit else {})} for limit in limits]
    answers = await asyncio.gather(*(ask(client, "klines", **one) for one in questions * 8))
    counts = [len(answer.json()) for answer in answers]
    assert counts == [1, 24, 500, 1_000, 500] * 8
    assert asked(world, "klines") == [{**PAIR, "limit": "1000"}]
    assert world.weights["binance"] == [2]


async def test_each_limit_has_the_newest_rows_as_the_vendor_sent_them(
    client: httpx.AsyncClient,
) -> None:
    whole = await ask(client, "klines", **PAIR, limit=1_000)
    for limit in (1, 2, 24, 999):
        part = await ask(client, "klines", **PAIR, limit=limit)
        assert whole.content.endswith(part.content[1:])
        assert part.json() == whole.json()[-limit:]
        assert part.headers["x-cache"] == "hit"
        assert part.headers["etag"] != whole.headers["etag"]


ROWS = st.lists(
    st.tuples(
        st.integers(0, 2**53),
        *[st.decimals(0, 10**12, places=8).map(lambda value: f"{value:.8f}")] * 5,
        st.integers(0, 2**53),
        st.text(st.characters(codec="utf-8"), max_size=8),
    ),
    max_size=20,
)


@given(rows=ROWS, count=st.integers(1, 25))
def test_a_cut_body_ends_like_the_whole_one(rows: list[Any], count: int) -> None:
    whole = orjson.dumps(rows)
    part = newest_rows(whole, count)
    assert orjson.loads(part) == [list(row) for row in rows[-count:]]
    assert whole.endswith(part[1:])


@pytest.mark.parametrize("body", [b"{}", b'{"a":[1]}', b"null", b'"text"'])
def test_what_is_no_array_is_not_cut(body: bytes) -> None:
    assert newest_rows(body, 3) == body


def test_only_the_newest_candles_are_cut() -> None:
    assert newest_limit(question()) == 500
    assert newest_limit(question(limit=7, timeZone="8")) == 7
    assert dict(whole_page(question(limit=7)).params) == {**PAIR, "limit": "1000"}
    for others in ({"startTime": 1}, {"endTime": 1}, {"limit": 0}, {"limit": 1_001}):
        assert newest_limit(question(**others)) is None


async def test_what_the_vendor_makes_of_other_limits_is_its_own_matter(
    world: World, client: httpx.AsyncClient
) -> None:
    for limit in ("0", "1500"):
        await ask(client, "klines", **PAIR, limit=limit)
    assert [one["limit"] for one in asked(world, "klines")] == ["0", "1500"]


@pytest.mark.parametrize(
    "interval", [one for one in Interval if one not in (Interval.D3, Interval.MONTH)]
)
@given(start=st.integers(0, NOW_MS), length=st.integers(0, 60 * DAY), limit=st.integers(1, 50))
def test_a_range_on_the_grid_has_the_same_candles(
    interval: Interval, start: int, length: int, limit: int
) -> None:
    """The vendor's answers to both questions, from candles selected by their opens."""
    end = start + length
    query = question(interval=interval, startTime=start, endTime=end)
    changed = asked_of(query)
    step = data.STEPS[interval]

    def told(first: int, last: int) -> Any:
        return data.klines(1.0, step, NOW_MS, first, last, limit)

    assert told(int(changed["startTime"]), int(changed["endTime"])) == told(start, end)
    assert int(changed["startTime"]) - start < step
    assert end - int(changed["endTime"]) < step


async def test_ranges_of_one_second_apart_cost_one_call(
    world: World, client: httpx.AsyncClient
) -> None:
    first = (world.now_ms // HOUR - 50) * HOUR
    for late_ms in (0, 1_000, 2_000):
        start, end = first - late_ms, first + 10 * HOUR + 5_000 - late_ms
        rows = await answered(client, "klines", **PAIR, startTime=start, endTime=end)
        assert [row[0] for row in rows] == [first + hour * HOUR for hour in range(11)]
    limits = {"startTime": str(first), "endTime": str(first + 10 * HOUR)}
    assert asked(world, "klines") == [{**PAIR, **limits}]


@pytest.mark.parametrize(
    "parameters",
    [
        {"startTime": 5, "endTime": 6},  # no open between them
        {"startTime": HOUR + 1, "endTime": 1},  # the vendor refuses it
        {"interval": "1M", "startTime": 5},
        {"interval": "3d", "startTime": 5},
        {"interval": "1s", "startTime": 5},
        {"interval": "7h", "startTime": 5},
        {"interval": "1d", "startTime": 5, "timeZone": "8"},
        {"interval": "1w", "endTime": 5},  # before the first Monday
    ],
)
def test_a_range_without_a_known_grid_is_passed_on_as_it_is(parameters: dict[str, Any]) -> None:
    query = question(**parameters)
    assert asked_of(query) == dict(query.params)


@pytest.mark.parametrize(
    ("parameters", "is_closed"),
    [
        ({"endTime": NOW_MS - HOUR - 60_000}, True),
        ({"startTime": 0, "endTime": NOW_MS - 2 * HOUR}, True),
        ({"endTime": NOW_MS - HOUR - 59_999}, False),
        ({"endTime": NOW_MS}, False),
        ({"startTime": 0, "limit": 1}, False),  # how far it reaches is not known
        ({}, False),
        ({"interval": "1M", "endTime": NOW_MS - 32 * DAY}, True),
        ({"interval": "1M", "endTime": NOW_MS - 31 * DAY}, False),
        ({"interval": "1s", "endTime": NOW_MS - 61_000}, True),
        ({"interval": "7h", "endTime": 5}, False),
        ({"interval": "1d", "timeZone": "14", "endTime": NOW_MS - 2 * DAY}, True),
    ],
)
def test_a_range_whose_candles_are_all_over_is_fresh_for_a_day(
    parameters: dict[str, Any], is_closed: bool
) -> None:
    query = normalized(question(**parameters), NOW_MS)
    expected = (86_400.0, 7 * 86_400.0) if is_closed else (5.0, 60.0)
    assert (query.ttl_s, query.max_stale_s) == expected


async def test_the_answer_says_how_long_a_closed_range_is_fresh(client: httpx.AsyncClient) -> None:
    over = await ask(client, "klines", **PAIR, startTime=0, endTime=10 * HOUR)
    newest = await ask(client, "klines", **PAIR)
    assert over.headers["cache-control"] == "public, max-age=86400"
    assert newest.headers["cache-control"] == "public, max-age=5"


async def test_zones_and_presentations_are_questions_of_their_own(
    world: World, client: httpx.AsyncClient
) -> None:
    await answered(client, "klines", **PAIR, timeZone="+08:00", limit=3)
    await answered(client, "klines", **PAIR, limit=3)
    assert len(await answered(client, "uiKlines", **PAIR, limit=3)) == 3
    zoned = {**PAIR, "limit": "1000", "timeZone": "+08:00"}
    assert asked(world, "klines") == [zoned, {**PAIR, "limit": "1000"}]
    assert len(asked(world, "uiKlines")) == 1


def test_rows_encoded_again_are_the_vendors_bytes() -> None:
    rows = data.klines(0.1 + 0.2, HOUR, NOW_MS, None, None, 100)
    body = json.dumps(rows, separators=(",", ":")).encode()
    assert newest_rows(body, 100) == body
