"""Alternative.me: payload in, days of the index out; what is not of now is no answer."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import (
    GeoBlocked,
    MalformedResponse,
    ProviderError,
    QueryRefused,
    RateLimited,
    UpstreamFailed,
)
from backend.models.ohlc import HOUR
from backend.models.sentiment import FearGreed, FearGreedSeries, SentimentQuery
from backend.providers.adapter import Call, Context, Plan, Window
from backend.providers.client import ProviderClient, parsed
from backend.providers.vendors import alternative_me
from tests.clocks import EPOCH, EPOCH_MS, ManualClock

CONTEXT = Context("alternative_me", "public", EPOCH_MS)
TODAY = EPOCH.replace(hour=0)
TODAY_MS = int(TODAY.timestamp() * 1000)
ATTRIBUTION = (
    "Fear & Greed Index by Alternative.me (https://alternative.me/crypto/fear-and-greed-index/)"
)


def row(days_ago: int = 0, **changes: Any) -> dict[str, Any]:
    stamp = str(int((TODAY - timedelta(days=days_ago)).timestamp()))
    found = {"value": "41", "value_classification": "Fear", "timestamp": stamp}
    return {name: value for name, value in (found | changes).items() if value is not ...}


def envelope(*rows: Any, error: Any = None) -> dict[str, Any]:
    return {"name": "Fear and Greed Index", "data": list(rows), "metadata": {"error": error}}


def series(payload: Any, context: Context = CONTEXT) -> FearGreedSeries:
    return alternative_me.parse_fng(SentimentQuery(), [payload], context)


def ages(payload: Any) -> list[int]:
    return [(TODAY - day.timestamp).days for day in series(payload).days]


def test_strings_become_numbers_and_the_attribution_is_passed_on() -> None:
    found = series(envelope(row(time_until_update="57600"), row(1, value="7")))
    day = FearGreed(41, "Fear", datetime(2026, 11, 22, tzinfo=UTC), "alternative_me", ATTRIBUTION)
    yesterday = replace(day, value=7, timestamp=datetime(2026, 11, 21, tzinfo=UTC))
    assert found == FearGreedSeries((day, yesterday), next_update_s=57_600.0)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("7", 7), ("100", 100), ("007", 7)])
def test_a_value_runs_from_0_to_100(text: str, value: int) -> None:
    assert series(envelope(row(value=text))).days[0].value == value


def test_the_classification_is_the_makers_own_word_whatever_the_value() -> None:
    odd = row(value="26", value_classification="Mild Panic")
    assert series(envelope(odd)).days[0].classification == "Mild Panic"


NO_VALUES: list[Any] = ["101", "-1", "13.5", "x", "", " 13", "1_3", "1e1", "NaN", "٤١"]
NO_VALUES += [13, 13.5, float("nan"), True, None, [], {}, ...]
NO_STAMPS: list[Any] = ["today", "", "-5", "0", "2026-11-22", str(TODAY_MS), "1795305600.5"]
NO_STAMPS += ["1517443199", 1_795_305_600, None]  # the second before the index began
NO_WORDS: list[Any] = ["x" * 201, 5, ["Fear"]]
ABSURD: list[dict[str, Any]] = [
    *({"value": value} for value in NO_VALUES),
    *({"timestamp": stamp} for stamp in NO_STAMPS),
    *({"value_classification": word} for word in NO_WORDS),
]


@pytest.mark.parametrize("change", ABSURD, ids=str)
def test_an_absurd_day_alone_is_no_answer_and_among_others_is_missing(
    change: dict[str, Any],
) -> None:
    with pytest.raises(MalformedResponse):
        parsed(series, envelope(row(**change)))
    found = series(envelope(row(**change), *(row(n) for n in range(1, 50))))
    assert [(TODAY - day.timestamp).days for day in found.days] == list(range(1, 50))
    assert len(found.refused) == 1


@pytest.mark.parametrize("no_row", [None, {}, [], "13", 7, True], ids=repr)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_row_that_is_none_costs_itself_and_is_named_by_its_place(no_row: Any, place: int) -> None:
    rows = [row(0, time_until_update="57600"), row(1)]
    rows.insert(place, no_row)
    found = series(envelope(*rows))
    assert [(TODAY - day.timestamp).days for day in found.days] == [0, 1]
    assert found.refused == (f"number {place + 1}",)


def test_a_refused_day_is_named_by_its_time() -> None:
    bad = row(3, value=None)
    assert series(envelope(row(0), bad, row(4))).refused == (bad["timestamp"],)


@pytest.mark.parametrize(("bad", "is_taken"), [(20, True), (21, False)])
@pytest.mark.parametrize("name", ["value", "timestamp"])
def test_only_a_majority_of_absurd_days_condemns_the_index(
    name: str, bad: int, is_taken: bool
) -> None:
    payload = envelope(*(row(n) for n in range(20)), *(row(n, **{name: None}) for n in range(bad)))
    if is_taken:
        assert len(series(payload).refused) == bad
    else:
        with pytest.raises(ValueError, match="malformed"):
            series(payload)


@pytest.mark.parametrize("absent", [None, "", ...], ids=repr)
def test_the_newest_day_without_a_classification_stays_and_its_classification_is_unknown(
    absent: Any,
) -> None:
    found = series(envelope(row(0, value_classification=absent), row(1)))
    assert [day.classification for day in found.days] == [None, "Fear"]
    assert (found.days[0].timestamp, found.refused) == (TODAY, ())


def test_a_day_to_come_costs_itself() -> None:
    found = series(envelope(row(-1), row(0), row(1)))
    assert (found.days[0].timestamp, found.refused) == (TODAY, (row(-1)["timestamp"],))


@pytest.mark.parametrize(("count", "is_taken"), [(800, True), (801, False)])
def test_more_than_twice_the_days_asked_for_are_not_even_read(count: int, is_taken: bool) -> None:
    payload = envelope(*([row(0)] * count))
    if is_taken:
        assert len(series(payload).days) == 1
    else:
        with pytest.raises(ValueError, match="at most 800"):
            series(payload)


def test_missing_days_stay_missing() -> None:
    assert ages(envelope(row(0), row(3), row(4))) == [0, 3, 4]


def test_a_day_told_twice_stands_once_as_told_first() -> None:
    found = series(envelope(row(0), row(1, value="8"), row(1, value="9"))).days
    assert [day.value for day in found] == [41, 8]


@given(st.lists(st.integers(min_value=1, max_value=400), max_size=40), st.randoms())
def test_days_come_newest_first_in_whatever_order_they_were_told(
    days: list[int], luck: Any
) -> None:
    told = [0, *days]
    luck.shuffle(told)
    assert ages(envelope(*map(row, told))) == sorted(set(told))


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("57600", 57_600.0),
        ("1", 1.0),
        ("0", None),
        ("-39", None),  # as with date_format
        ("", None),
        ("soon", None),
        ("57600.5", None),
        ("57600000", None),  # milliseconds
        (57_600, None),
        (None, None),
        (..., None),
    ],
)
def test_the_next_update_is_told_by_the_first_row_or_unknown(
    told: Any, seconds: float | None
) -> None:
    assert series(envelope(row(time_until_update=told), row(1))).next_update_s == seconds


@pytest.mark.parametrize("error", ["limit is no number", "", {"code": 1}, False])
def test_an_error_is_no_answer_though_data_stand_beside_it(error: Any) -> None:
    with pytest.raises(ValueError, match="error in place"):
        series(envelope(row(), error=error))


@pytest.mark.parametrize(
    ("age_ms", "is_taken"),
    [
        (49 * HOUR, True),
        (49 * HOUR + 1, False),
        (0, True),
        (-3 * HOUR, True),
        (365 * 24 * HOUR, False),
    ],
)
def test_an_index_of_the_day_before_yesterday_is_not_of_now(age_ms: int, is_taken: bool) -> None:
    context = replace(CONTEXT, now_ms=TODAY_MS + age_ms)
    payload = envelope(row(0), row(1))
    if is_taken:
        assert series(payload, context).days[0].timestamp == TODAY
    else:
        with pytest.raises(ValueError, match="not of now"):
            series(payload, context)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        [],
        None,
        "",
        "<html>502 Bad Gateway</html>",
        0,
        float("nan"),
        [row()],
        envelope(),
        envelope([]),
        envelope(None),
        envelope("13"),
        envelope({}),
        {"data": [row()]},
        {"data": [row()], "metadata": None},
        {"data": [row()], "metadata": {}},
        {"data": None, "metadata": {"error": None}},
        {"data": row(), "metadata": {"error": None}},
        {"data": "fng_value,date\n13,22-11-2026", "metadata": {"error": None}},  # format=csv
        {"metadata": {"error": None}},
    ],
    ids=str,
)
def test_junk_is_no_answer(payload: Any) -> None:
    with pytest.raises(MalformedResponse):
        parsed(series, payload)


def test_a_year_is_one_call_without_a_date_format() -> None:
    call = Call("/fng/", (("limit", "365"), ("format", "json")), max_bytes=512 * 1024)
    assert alternative_me.build_fng(SentimentQuery(), CONTEXT) == (call,)


def test_it_takes_no_key_and_sixty_calls_a_minute() -> None:
    hosts = ("https://api.alternative.me",)
    assert Plan("public", hosts, (Window(60, 60),)) == alternative_me.PUBLIC


HTML = "<html><h1>nginx</h1></html>"


@pytest.fixture
async def client(clock: ManualClock, respx_mock: respx.MockRouter) -> AsyncIterator[ProviderClient]:
    assert respx_mock is not None, "the client must not find the network"
    async with ProviderClient(clock) as opened:
        yield opened


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, MalformedResponse),
        (301, MalformedResponse),
        (403, GeoBlocked),
        (404, QueryRefused),
        (429, RateLimited),
        (502, UpstreamFailed),
    ],
)
async def test_a_page_in_place_of_the_index_becomes_the_error_that_says_what_to_do(
    client: ProviderClient, respx_mock: respx.MockRouter, status: int, kind: type[ProviderError]
) -> None:
    url = alternative_me.PUBLIC.base_urls[0]
    (call,) = alternative_me.build_fng(SentimentQuery(), CONTEXT)
    respx_mock.get(f"{url}/fng/").mock(return_value=httpx.Response(status, text=HTML))
    with pytest.raises(ProviderError) as caught:
        await client.call(alternative_me.ADAPTER, call, url, None, 5.0)
    assert (type(caught.value), caught.value.http_status) == (kind, status)
