"""CoinMarketCap's index: both spellings in, one model out, under its own name."""

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
    AuthFailed,
    GeoBlocked,
    MalformedResponse,
    ProviderError,
    QueryRefused,
    QuotaSpent,
    RateLimited,
    UpstreamFailed,
)
from backend.models.ohlc import HOUR
from backend.models.sentiment import FearGreed, FearGreedSeries, SentimentQuery
from backend.providers.adapter import Call, Context, Plan, Window
from backend.providers.client import ProviderClient, parsed
from backend.providers.vendors import alternative_me, coinmarketcap
from tests.clocks import EPOCH, EPOCH_MS, ManualClock

CONTEXT = Context("coinmarketcap", "keyless", EPOCH_MS)
TODAY = EPOCH.replace(hour=0)
TODAY_MS = int(TODAY.timestamp() * 1000)
ATTRIBUTION = (
    "CMC Crypto Fear and Greed Index by CoinMarketCap "
    "(https://coinmarketcap.com/charts/fear-and-greed-index/)"
)


def row(days_ago: int = 0, **changes: Any) -> dict[str, Any]:
    stamp = str(int((TODAY - timedelta(days=days_ago)).timestamp()))
    found = {"timestamp": stamp, "value": 41, "value_classification": "Neutral"}
    return {name: value for name, value in (found | changes).items() if value is not ...}


def envelope(*rows: Any, code: Any = "0") -> dict[str, Any]:
    status = {"timestamp": "2026-11-22T08:00:00.000Z", "error_code": code, "error_message": ""}
    return {"data": list(rows), "status": status | {"elapsed": 3, "credit_count": 0}}


def series(payload: Any, context: Context = CONTEXT) -> FearGreedSeries:
    return coinmarketcap.parse_fear_greed(SentimentQuery(), [payload], context)


def ages(payload: Any) -> list[int]:
    return [(TODAY - day.timestamp).days for day in series(payload).days]


def test_it_is_labelled_as_its_own_index_with_its_own_attribution() -> None:
    found = series(envelope(row(), row(1, value=7, value_classification="Extreme fear")))
    day = FearGreed(41, "Neutral", datetime(2026, 11, 22, tzinfo=UTC), "coinmarketcap", ATTRIBUTION)
    yesterday = FearGreed(
        7, "Extreme fear", datetime(2026, 11, 21, tzinfo=UTC), "coinmarketcap", ATTRIBUTION
    )
    assert found == FearGreedSeries((day, yesterday), next_update_s=None)
    assert coinmarketcap.ATTRIBUTION != alternative_me.ATTRIBUTION


@pytest.mark.parametrize(
    "stamp",
    [
        f"{TODAY_MS // 1000}",
        TODAY_MS // 1000,
        "2026-11-22T00:00:00.000Z",
        "2026-11-22T00:00:00Z",
        "2026-11-22T02:00:00+02:00",
    ],
)
def test_a_day_is_told_in_epoch_seconds_or_in_iso(stamp: Any) -> None:
    (day,) = series(envelope(row(timestamp=stamp))).days
    assert (day.timestamp, day.timestamp.utcoffset()) == (TODAY, timedelta(0))


@pytest.mark.parametrize(
    ("told", "value"), [(0, 0), (41, 41), (100, 100), ("0", 0), ("41", 41), ("100", 100)]
)
def test_a_value_is_told_as_a_number_or_as_text(told: Any, value: int) -> None:
    assert series(envelope(row(value=told))).days[0].value == value


@pytest.mark.parametrize("code", ["0", 0])
def test_no_error_is_told_as_a_number_or_as_text(code: Any) -> None:
    assert coinmarketcap.error_code(envelope(row(), code=code)) is None
    assert len(series(envelope(row(), code=code)).days) == 1


NO_VALUES: list[Any] = [101, -1, 13.5, 13.0, float("nan"), True, None, [], {}, ...]
NO_VALUES += ["101", "-1", "13.5", "x", "", " 13", "1_3", "٤١"]
NO_STAMPS: list[Any] = ["today", "", "-5", "0", 5, None, True, TODAY_MS, str(TODAY_MS)]
NO_STAMPS += [TODAY_MS / 1000, "2026-11-22", "2026-11-22T00:00:00", "2017-11-22T00:00Z"]
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
    assert [day.classification for day in found.days] == [None, "Neutral"]
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
    found = series(envelope(row(0), row(1, value=8), row(1, value=9))).days
    assert [day.value for day in found] == [41, 8]


@given(st.lists(st.integers(min_value=1, max_value=400), max_size=40), st.randoms())
def test_days_come_newest_first_in_whatever_order_they_were_told(
    days: list[int], luck: Any
) -> None:
    told = [0, *days]
    luck.shuffle(told)
    assert ages(envelope(*map(row, told))) == sorted(set(told))


@pytest.mark.parametrize(
    ("age_ms", "is_taken"),
    [(49 * HOUR, True), (49 * HOUR + 1, False), (-3 * HOUR, True)],
)
def test_an_index_of_the_day_before_yesterday_is_not_of_now(age_ms: int, is_taken: bool) -> None:
    context = replace(CONTEXT, now_ms=TODAY_MS + age_ms)
    if is_taken:
        assert series(envelope(row(0), row(1)), context).days[0].timestamp == TODAY
    else:
        with pytest.raises(ValueError, match="not of now"):
            series(envelope(row(0), row(1)), context)


@pytest.mark.parametrize("code", [1011, "1011", 500, "x", None, "", True, 0.5])
def test_an_error_is_no_answer_though_data_stand_beside_it(code: Any) -> None:
    with pytest.raises(ValueError, match="error in place"):
        series(envelope(row(), code=code))


@pytest.mark.parametrize(
    "payload",
    [
        {},
        [],
        None,
        "",
        "<html>Just a moment...</html>",
        0,
        float("nan"),
        [row()],
        envelope(),
        envelope([]),
        envelope(None),
        envelope("13"),
        envelope({}),
        {"data": [row()]},
        {"data": [row()], "status": None},
        {"data": [row()], "status": {}},
        envelope() | {"data": None},
        envelope() | {"data": row()},  # the shape of latest
        {"status": {"error_code": "0"}},
    ],
    ids=str,
)
def test_junk_is_no_answer(payload: Any) -> None:
    with pytest.raises(MalformedResponse):
        parsed(series, payload)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (envelope(code=1011), 1011),
        (envelope(code="1005"), 1005),
        (envelope(code=None), None),
        (envelope(code="x"), None),
        (envelope(code=-1), None),
        (envelope(code=True), None),
        ({"status": []}, None),
        ({"status": "0"}, None),
        ([], None),
        ("", None),
        (None, None),
    ],
    ids=str,
)
def test_the_error_code_is_a_number_in_whatever_type(payload: Any, code: int | None) -> None:
    assert coinmarketcap.error_code(payload) == code


def test_a_year_is_one_call_for_the_second_choice() -> None:
    call = Call(
        "/public-api/v3/fear-and-greed/historical",
        (("limit", "365"), ("start", "1")),
        max_bytes=512 * 1024,
    )
    assert coinmarketcap.build_fear_greed(SentimentQuery(), CONTEXT) == (call,)


def test_it_takes_no_key_and_one_call_a_minute() -> None:
    hosts = ("https://pro-api.coinmarketcap.com",)
    assert Plan("keyless", hosts, (Window(1, 60),)) == coinmarketcap.KEYLESS


HTML = "<html><h1>Just a moment...</h1></html>"


@pytest.fixture
async def client(clock: ManualClock, respx_mock: respx.MockRouter) -> AsyncIterator[ProviderClient]:
    assert respx_mock is not None, "the client must not find the network"
    async with ProviderClient(clock) as opened:
        yield opened


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, envelope(code=1008), RateLimited),
        (429, envelope(code=1009), QuotaSpent),
        (429, envelope(code="1010"), QuotaSpent),
        (429, envelope(code=1011), RateLimited),
        (429, HTML, RateLimited),
        (200, envelope(code="1011"), RateLimited),
        (403, envelope(code=1005), AuthFailed),
        (200, envelope(code=1005), AuthFailed),
        (401, envelope(code=1002), AuthFailed),
        (403, HTML, GeoBlocked),
        (400, envelope(code=400), QueryRefused),
        (404, HTML, QueryRefused),
        (500, envelope(code=500), UpstreamFailed),
        (200, HTML, MalformedResponse),
    ],
)
async def test_a_refusal_becomes_the_error_that_says_what_to_do(
    client: ProviderClient,
    respx_mock: respx.MockRouter,
    status: int,
    body: Any,
    kind: type[ProviderError],
) -> None:
    url = coinmarketcap.KEYLESS.base_urls[0]
    (call,) = coinmarketcap.build_fear_greed(SentimentQuery(), CONTEXT)
    content = {"text": body} if isinstance(body, str) else {"json": body}
    respx_mock.get(url + call.path).mock(return_value=httpx.Response(status, **content))
    with pytest.raises(ProviderError) as caught:
        await client.call(coinmarketcap.ADAPTER, call, url, None, 5.0)
    assert (type(caught.value), caught.value.http_status) == (kind, status)
