"""Long lists from outside: what of them may be odd, and whether they are of now."""

from datetime import timedelta
from typing import Any

import pytest

from backend.providers.rows import (
    decimal_number,
    decimal_numbers,
    iso_instant,
    not_ahead,
    parse_rows,
    refuse_other_times,
    usable_image,
)
from tests.clocks import EPOCH, EPOCH_MS

HOUR = 3_600_000


def number(row: dict[str, str]) -> float:
    return float(row["value"])


def rows(good: int, bad: int) -> list[dict[str, str]]:
    return [{"name": f"good{n}", "value": str(n)} for n in range(good)] + [
        {"name": f"bad{n}", "value": "junk"} for n in range(bad)
    ]


@pytest.mark.parametrize(("good", "bad"), [(98, 2), (49, 1), (1, 1), (60, 40)])
def test_malformed_rows_are_left_out_and_named(good: int, bad: int) -> None:
    parsed, refused = parse_rows(rows(good, bad), number, "name", most=100)
    assert len(parsed) == good
    assert refused == tuple(f"bad{n}" for n in range(bad))


@pytest.mark.parametrize(("good", "bad"), [(40, 60), (1, 2), (0, 1), (0, 0)])
def test_a_malformed_majority_or_an_empty_list_is_refused(good: int, bad: int) -> None:
    with pytest.raises(ValueError, match="rows are malformed"):
        parse_rows(rows(good, bad), number, "name", most=100)


def test_too_many_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="101 rows, at most 100"):
        parse_rows(rows(101, 0), number, "name", most=100)


@pytest.mark.parametrize("told", [None, {}, "rows", {"0": {"value": "1"}}])
def test_a_value_that_is_not_a_list_is_refused(told: object) -> None:
    with pytest.raises(TypeError, match="not a list"):
        parse_rows(told, number, "name", most=100)


def test_the_name_of_a_malformed_row_is_truncated() -> None:
    odd = {"name": "x" * 100_000, "value": "junk"}
    _, (name,) = parse_rows([*rows(99, 0), odd], number, "name", most=100)
    assert name == "x" * 200


@pytest.mark.parametrize(
    "odd", [None, [], 7, {}, {"name": None}, {"name": "a\nb"}, {"name": ["x"]}]
)
def test_a_malformed_row_without_a_printable_name_is_named_by_its_number(odd: object) -> None:
    _, refused = parse_rows([*rows(2, 0), odd], number, "name", most=100)
    assert refused == ("number 3",)


def test_a_row_without_fields_is_named_by_a_function() -> None:
    told = [[1, "1"], [2, "x"], [], [3.5, "x"], [10**5_000, "x"], [6, "6"], [7, "7"], [8, "8"]]
    _, refused = parse_rows(told, lambda row: float(row[1]), lambda row: row[0], most=100)
    assert refused == ("2", "number 3", "number 4", "number 5")


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0.0), ("-1.026", -1.026), ("97.50000000", 97.5), ("1" * 20, 1.1111111111111111e19)],
)
def test_a_plain_decimal_is_a_number(text: str, number: float) -> None:
    assert decimal_number(text) == number
    assert list(decimal_numbers((text, "2"))) == [number, 2.0]


NO_DECIMALS: list[Any] = [
    "",
    " 1",
    "1 ",
    "1_0",
    "1e5",
    "NaN",
    "nan",
    "Infinity",
    "-inf",
    "0x1",
    "+1",
    "1,5",
    "1.2.3",
]
NO_DECIMALS += ["1-2", "-", ".", "\u0661", "1\n", None, 1, 1.5, True, b"1", ["1"], {}]


@pytest.mark.parametrize("text", NO_DECIMALS, ids=ascii)
def test_other_texts_that_float_accepts_are_refused(text: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        decimal_number(text)
    with pytest.raises((TypeError, ValueError)):
        list(decimal_numbers(("1", text)))


@pytest.mark.parametrize(
    "stamps",
    [
        [EPOCH_MS] * 4,
        [EPOCH_MS - 2 * HOUR] * 4,
        [EPOCH_MS] * 99 + [EPOCH_MS + 9 * HOUR],
        [EPOCH_MS] * 60 + [EPOCH_MS + 9_000 * HOUR] * 40,
        [EPOCH_MS, EPOCH_MS, EPOCH_MS + 4 * HOUR],
        [EPOCH_MS - 2_000 * HOUR] * 50 + [EPOCH_MS] * 50,
    ],
)
def test_a_current_list_may_contain_old_rows_and_one_in_the_future(stamps: list[int]) -> None:
    own = refuse_other_times(stamps, EPOCH_MS)
    assert abs(own - EPOCH_MS) <= 2 * HOUR


@pytest.mark.parametrize(
    "stamps",
    [
        [EPOCH_MS - 11 * HOUR] * 100,
        [EPOCH_MS - 24 * HOUR] * 99 + [EPOCH_MS],
        [EPOCH_MS + 4 * HOUR] * 10,
        [EPOCH_MS] * 40 + [EPOCH_MS + 9 * HOUR] * 60,
        [],
    ],
)
def test_one_current_row_does_not_make_an_old_list_current(stamps: list[int]) -> None:
    with pytest.raises(ValueError, match="not current"):
        refuse_other_times(stamps, EPOCH_MS)


@pytest.mark.parametrize(
    ("address", "usable"),
    [
        ("https://a.example/i.png?w=1", True),
        ("http:", False),
        ("https://[bad/x", False),
        ("https:///no-host.png", False),
        ("https://user@/i.png", False),
        ("https://a.example/\u202egnp.exe", False),
        ("https://a.example/\x07.png", False),
        ("ftp://a.example/i.png", False),
        ("https:///i.png", False),
        ("https://a.example/\u202e/i.png", False),
        ("https://a.example/\x1b/i.png", False),
        (7, False),
        (None, False),
    ],
)
def test_an_invalid_image_address_is_left_out(address: object, usable: bool) -> None:
    assert usable_image(address) == (address if usable else None)


def test_a_time_in_the_future_beyond_the_clock_error_is_refused() -> None:
    latest = EPOCH + timedelta(hours=3)
    assert not_ahead(latest, EPOCH_MS) == latest
    with pytest.raises(ValueError, match="in the future"):
        not_ahead(latest + timedelta(seconds=1), EPOCH_MS)


def test_a_time_is_converted_from_its_own_zone() -> None:
    assert iso_instant("2026-11-22T10:00:00+02:00") == EPOCH
    with pytest.raises(ValueError, match="time zone"):
        iso_instant("2026-11-22T10:00:00")
