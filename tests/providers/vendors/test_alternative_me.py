"""Alternative.me's own ways: texts for numbers, the next update, the error field.

What it shares with the other index is in test_indices.py.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from backend.models.sentiment import FearGreed, FearGreedSeries, SentimentQuery
from backend.providers.adapter import Call, Plan, Window
from backend.providers.vendors import alternative_me
from tests.providers.vendors.fear_greed import ALTERNATIVE_ME as INDEX

ATTRIBUTION = (
    "Fear & Greed Index by Alternative.me (https://alternative.me/crypto/fear-and-greed-index/)"
)


def test_strings_become_numbers_and_the_attribution_is_passed_on() -> None:
    found = INDEX.series(INDEX.row(time_until_update="57600"), INDEX.row(1, value="7"))
    day = FearGreed(41, "Fear", datetime(2026, 11, 22, tzinfo=UTC), "alternative_me", ATTRIBUTION)
    yesterday = replace(day, value=7, timestamp=datetime(2026, 11, 21, tzinfo=UTC))
    assert found == FearGreedSeries((day, yesterday), next_update_s=57_600.0)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("7", 7), ("100", 100), ("007", 7)])
def test_a_value_runs_from_0_to_100(text: str, value: int) -> None:
    assert INDEX.series(INDEX.row(value=text)).days[0].value == value


def test_the_classification_is_passed_on_for_any_value() -> None:
    odd = INDEX.row(value="26", value_classification="Mild Panic")
    assert INDEX.series(odd).days[0].classification == "Mild Panic"


@pytest.mark.parametrize(
    ("text", "seconds"),
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
def test_the_first_row_says_when_the_next_update_comes(text: Any, seconds: float | None) -> None:
    found = INDEX.series(INDEX.row(time_until_update=text), INDEX.row(1))
    assert found.next_update_s == seconds


@pytest.mark.parametrize("error", ["limit is no number", "", {"code": 1}, False])
def test_an_error_beside_data_is_malformed(error: Any) -> None:
    with pytest.raises(ValueError, match="error instead"):
        INDEX.parse(INDEX.envelope(INDEX.row(), error=error))


def test_a_year_is_one_call_without_a_date_format() -> None:
    call = Call("/fng/", (("limit", "365"), ("format", "json")), max_bytes=512 * 1024)
    assert alternative_me.build_fng(SentimentQuery(), INDEX.context()) == (call,)


def test_the_plan_has_no_key_and_sixty_calls_a_minute() -> None:
    hosts = ("https://api.alternative.me",)
    assert Plan("public", hosts, (Window(60, 60),)) == alternative_me.PUBLIC
