"""The rules that both Fear & Greed indices follow: bad days, order, age, size and junk."""

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
    PlanRestricted,
    ProviderError,
    QueryRefused,
    QuotaSpent,
    RateLimited,
    UpstreamFailed,
)
from backend.models.ohlc import HOUR
from backend.providers.client import ProviderClient
from tests.providers.vendors.fear_greed import (
    ALTERNATIVE_ME,
    COINMARKETCAP,
    INDICES,
    TODAY,
    TODAY_MS,
    Index,
)

each_index = pytest.mark.parametrize("index", INDICES, ids=str)


def ages(index: Index, *rows: Any) -> list[int]:
    """Of the days in the answer: how many days ago each was."""
    return [(TODAY - day.timestamp).days for day in index.series(*rows).days]


ABSURD: list[tuple[Index, dict[str, Any]]] = [
    *((index, {"value": value}) for index in INDICES for value in index.bad_values),
    *((index, {"timestamp": stamp}) for index in INDICES for stamp in index.bad_stamps),
    *((one, {"value_classification": word}) for one in INDICES for word in ("x" * 201, 5, ["F"])),
]


@pytest.mark.parametrize(("index", "change"), ABSURD, ids=lambda one: str(one)[:40])
def test_a_malformed_day_is_left_out_and_alone_is_refused(
    index: Index, change: dict[str, Any]
) -> None:
    assert index.is_malformed(index.envelope(index.row(**change)))
    found = index.series(index.row(**change), *(index.row(n) for n in range(1, 50)))
    assert [(TODAY - day.timestamp).days for day in found.days] == list(range(1, 50))
    assert len(found.refused) == 1


@each_index
@pytest.mark.parametrize("no_row", [None, {}, [], "13", 7, True], ids=repr)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_row_of_another_type_is_left_out_and_named_by_its_number(
    index: Index, no_row: Any, place: int
) -> None:
    rows = [index.row(0, time_until_update="57600"), index.row(1)]
    rows.insert(place, no_row)
    found = index.series(*rows)
    assert [(TODAY - day.timestamp).days for day in found.days] == [0, 1]
    assert found.refused == (f"number {place + 1}",)


@each_index
def test_a_refused_day_is_named_by_its_time(index: Index) -> None:
    bad = index.row(3, value=None)
    assert index.series(index.row(0), bad, index.row(4)).refused == (bad["timestamp"],)


@each_index
@pytest.mark.parametrize(("bad", "is_taken"), [(20, True), (21, False)])
@pytest.mark.parametrize("name", ["value", "timestamp"])
def test_only_a_majority_of_malformed_days_refuses_the_answer(
    index: Index, name: str, bad: int, is_taken: bool
) -> None:
    rows = [index.row(n) for n in range(20)] + [index.row(n, **{name: None}) for n in range(bad)]
    if is_taken:
        assert len(index.series(*rows).refused) == bad
    else:
        with pytest.raises(ValueError, match="malformed"):
            index.series(*rows)


@each_index
@pytest.mark.parametrize("absent", [None, "", ...], ids=repr)
def test_the_newest_day_without_a_classification_stays_and_its_classification_is_unknown(
    index: Index, absent: Any
) -> None:
    yesterday = index.row(1)
    found = index.series(index.row(0, value_classification=absent), yesterday)
    words = [day.classification for day in found.days]
    assert words == [None, yesterday["value_classification"]]
    assert (found.days[0].timestamp, found.refused) == (TODAY, ())


@each_index
def test_a_day_in_the_future_is_left_out(index: Index) -> None:
    found = index.series(index.row(-1), index.row(0), index.row(1))
    assert (found.days[0].timestamp, found.refused) == (TODAY, (index.row(-1)["timestamp"],))


@each_index
@pytest.mark.parametrize(("count", "is_taken"), [(800, True), (801, False)])
def test_too_many_days_are_refused(index: Index, count: int, is_taken: bool) -> None:
    rows = [index.row(0)] * count
    if is_taken:
        assert len(index.series(*rows).days) == 1
    else:
        with pytest.raises(ValueError, match="at most 800"):
            index.series(*rows)


@each_index
def test_missing_days_stay_missing(index: Index) -> None:
    assert ages(index, index.row(0), index.row(3), index.row(4)) == [0, 3, 4]


@each_index
def test_of_a_repeated_day_the_first_row_counts(index: Index) -> None:
    kind = type(index.row()["value"])
    rows = [index.row(0), index.row(1, value=kind(8)), index.row(1, value=kind(9))]
    assert [day.value for day in index.series(*rows).days] == [41, 8]


@each_index
@given(st.lists(st.integers(min_value=1, max_value=400), max_size=40), st.randoms())
def test_days_are_sorted_newest_first(index: Index, days: list[int], luck: Any) -> None:
    shuffled = [0, *days]
    luck.shuffle(shuffled)
    assert ages(index, *map(index.row, shuffled)) == sorted(set(shuffled))


@each_index
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
def test_an_index_of_the_day_before_yesterday_is_out_of_date(
    index: Index, age_ms: int, is_taken: bool
) -> None:
    rows = index.row(0), index.row(1)
    if is_taken:
        assert index.series(*rows, now_ms=TODAY_MS + age_ms).days[0].timestamp == TODAY
    else:
        with pytest.raises(ValueError, match="not current"):
            index.series(*rows, now_ms=TODAY_MS + age_ms)


@each_index
@pytest.mark.parametrize("rows", [[], [[]], [None], ["13"], [{}]], ids=str)
def test_an_answer_without_a_valid_row_is_malformed(index: Index, rows: list[Any]) -> None:
    assert index.is_malformed(index.envelope(*rows))


@each_index
@pytest.mark.parametrize("data", [None, ALTERNATIVE_ME.row(), "fng_value,date\n13,22-11-2026"])
def test_rows_that_are_not_a_list_are_malformed(index: Index, data: Any) -> None:
    assert index.is_malformed(index.envelope() | {"data": data})


@each_index
@pytest.mark.parametrize("part", [None, {}, ...], ids=repr)
@pytest.mark.parametrize("name", ["metadata", "status"])
def test_an_answer_without_its_error_field_is_malformed(index: Index, name: str, part: Any) -> None:
    whole = index.envelope(index.row())
    if name in whole:
        changed = {key: value for key, value in (whole | {name: part}).items() if value is not ...}
        assert index.is_malformed(changed)


HTML = "<html><h1>Just a moment...</h1></html>"
ANSWERS = [
    *(
        (index, status, HTML, kind)
        for index in INDICES
        for status, kind in (
            (200, MalformedResponse),
            (301, MalformedResponse),
            (403, GeoBlocked),
            (404, QueryRefused),
            (429, RateLimited),
            (502, UpstreamFailed),
        )
    ),
    *(
        (COINMARKETCAP, status, COINMARKETCAP.envelope(code=code), kind)
        for status, code, kind in (
            (429, 1008, RateLimited),
            (429, 1009, QuotaSpent),
            (429, "1010", QuotaSpent),
            (429, 1011, RateLimited),
            (200, "1011", RateLimited),
            (403, 1005, PlanRestricted),
            (200, 1005, PlanRestricted),
            (401, 1002, AuthFailed),
            (400, 400, QueryRefused),
            (500, 500, UpstreamFailed),
        )
    ),
]


@pytest.mark.parametrize(
    ("index", "status", "body", "kind"), ANSWERS, ids=lambda one: str(one)[:40]
)
async def test_a_refusal_becomes_the_documented_error(
    client: ProviderClient,
    respx_mock: respx.MockRouter,
    index: Index,
    status: int,
    body: Any,
    kind: type[ProviderError],
) -> None:
    content = {"text": body} if isinstance(body, str) else {"json": body}
    respx_mock.get(index.plan.base_urls[0] + index.call.path).mock(
        return_value=httpx.Response(status, **content)
    )
    with pytest.raises(ProviderError) as caught:
        await client.call(index.adapter, index.call, index.plan.base_urls[0], None, 5.0)
    assert (type(caught.value), caught.value.http_status) == (kind, status)
