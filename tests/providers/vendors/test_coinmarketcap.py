"""CoinMarketCap's own ways: numbers or texts, epoch or ISO times, its error codes.

What it shares with the other index is in test_indices.py.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.models.sentiment import FearGreed, FearGreedSeries, SentimentQuery
from backend.providers.adapter import Call, Plan, Window
from backend.providers.vendors import alternative_me, coinmarketcap
from tests.providers.vendors.fear_greed import COINMARKETCAP as INDEX
from tests.providers.vendors.fear_greed import TODAY, TODAY_MS

ATTRIBUTION = (
    "CMC Crypto Fear and Greed Index by CoinMarketCap "
    "(https://coinmarketcap.com/charts/fear-and-greed-index/)"
)


def test_the_index_has_its_own_name_and_attribution() -> None:
    yesterday = INDEX.row(1, value=7, value_classification="Extreme fear")
    days = (
        FearGreed(41, "Neutral", datetime(2026, 11, 22, tzinfo=UTC), "coinmarketcap", ATTRIBUTION),
        FearGreed(
            7, "Extreme fear", datetime(2026, 11, 21, tzinfo=UTC), "coinmarketcap", ATTRIBUTION
        ),
    )
    assert INDEX.series(INDEX.row(), yesterday) == FearGreedSeries(days, next_update_s=None)
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
def test_the_time_of_a_day_is_epoch_seconds_or_iso(stamp: Any) -> None:
    (day,) = INDEX.series(INDEX.row(timestamp=stamp)).days
    assert (day.timestamp, day.timestamp.utcoffset()) == (TODAY, timedelta(0))


@pytest.mark.parametrize(
    ("given", "value"), [(0, 0), (41, 41), (100, 100), ("0", 0), ("41", 41), ("100", 100)]
)
def test_a_value_is_a_number_or_a_text(given: Any, value: int) -> None:
    assert INDEX.series(INDEX.row(value=given)).days[0].value == value


@pytest.mark.parametrize("code", ["0", 0])
def test_the_error_code_of_a_success_is_zero_as_a_number_or_a_text(code: Any) -> None:
    assert coinmarketcap.error_code(INDEX.envelope(INDEX.row(), code=code)) is None
    assert len(INDEX.parse(INDEX.envelope(INDEX.row(), code=code)).days) == 1


@pytest.mark.parametrize("code", [1011, "1011", 500, "x", None, "", True, 0.5])
def test_an_error_beside_data_is_malformed(code: Any) -> None:
    with pytest.raises(ValueError, match="error instead"):
        INDEX.parse(INDEX.envelope(INDEX.row(), code=code))


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (INDEX.envelope(code=1011), 1011),
        (INDEX.envelope(code="1005"), 1005),
        (INDEX.envelope(code=None), None),
        (INDEX.envelope(code="x"), None),
        (INDEX.envelope(code=-1), None),
        (INDEX.envelope(code=True), None),
        ({"status": []}, None),
        ({"status": "0"}, None),
        ([], None),
        ("", None),
        (None, None),
    ],
    ids=str,
)
def test_the_error_code_is_a_number_or_a_text(payload: Any, code: int | None) -> None:
    assert coinmarketcap.error_code(payload) == code


def test_a_year_is_one_call() -> None:
    call = Call(
        "/public-api/v3/fear-and-greed/historical",
        (("limit", "365"), ("start", "1")),
        max_bytes=512 * 1024,
    )
    assert coinmarketcap.build_fear_greed(SentimentQuery(), INDEX.context()) == (call,)


def test_the_plan_has_no_key_and_one_call_a_minute() -> None:
    hosts = ("https://pro-api.coinmarketcap.com",)
    assert Plan("keyless", hosts, (Window(1, 60),)) == coinmarketcap.KEYLESS
