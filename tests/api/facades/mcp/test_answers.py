"""Answers are cut to their bound; figures and warnings are short."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from api.facades.mcp.answers import MAX_TEXT_BYTES, ToolAnswer, few_warnings, figure, text_of

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def parsed(rows: list[Any], **options: Any) -> Any:
    text = text_of(ToolAnswer({"currency": "USD"}, "binance", NOW, rows, **options))
    assert len(orjson.dumps(text)) <= MAX_TEXT_BYTES
    return orjson.loads(text)


@pytest.mark.parametrize("keeps_last", [True, False])
def test_rows_that_have_no_room_are_left_out_and_counted(keeps_last: bool) -> None:
    rows = [{"url": f"https://a.example/{'x' * 900}", "at": number} for number in range(20)]
    answer = parsed(rows, keeps_last=keeps_last, warnings=("one", "two", "three", "four"))
    kept = [row["at"] for row in answer["rows"]]
    assert 8 <= len(kept) < 20
    assert kept == ([*range(20)][-len(kept) :] if keeps_last else [*range(len(kept))])
    assert answer["warnings"][0].startswith(
        f"only the {'newest' if keeps_last else 'first'} {len(kept)} of 20 rows have room"
    )
    assert len(answer["warnings"]) == 3


def test_a_row_that_is_too_long_alone_is_left_out() -> None:
    assert parsed([{"url": "x" * 20_000}])["rows"] == []


def test_all_rows_stay_where_they_have_room() -> None:
    assert parsed([{"at": 1}]) == {
        "currency": "USD",
        "rows": [{"at": 1}],
        "source": "binance",
        "as_of": "2026-11-29T12:00:00.000Z",
        "stale": False,
        "warnings": [],
    }


def test_a_stale_answer_says_why() -> None:
    answer = parsed([], stale_reason="timeout")
    assert (answer["stale"], answer["stale_reason"]) == (True, "timeout")


def test_warnings_are_few_short_and_unique() -> None:
    assert few_warnings(["a", "a", "b", "c"]) == ["a", "b", "c"]
    assert few_warnings([*"abcde"]) == ["a", "b", "and 3 more warnings"]
    assert len(few_warnings(["x" * 5_000])[0]) == 240


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (61_240.5, 61_240.5),
        (1.2e12, 1_200_000_000_000),
        (0.1 + 0.2, 0.3),
        (1.23456789012345e-9, 1.23456789012e-9),
        (1e300, 1e300),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_a_figure_has_twelve_digits(value: float | None, expected: float | None) -> None:
    assert figure(value) == expected
    assert type(figure(value)) is type(expected)
