"""The change over 24 h that is computed from an open, as it is shown to readers."""

import pytest

from backend.providers.venues import change_since, difference


@pytest.mark.parametrize(
    ("price", "opened", "expected"),
    [
        (83766.8, 84180.1, -413.3),
        (83744.31, 83744.3, 0.01),
        (2.05, 2.0, 0.05),
        (0.3, 0.1, 0.2),
        (0.00000123, 0.00000122, 0.00000001),
        (0.00000000000123, 0.00000000000122, 0.00000000000001),
        (1.0, 1.0, 0.0),
    ],
)
def test_a_difference_has_no_digits_of_the_floats_own(
    price: float, opened: float, expected: float
) -> None:
    assert difference(price, opened) == expected


@pytest.mark.parametrize(
    ("opened", "expected"),
    [(100.0, (2.0, 2.0)), (0.0, (None, None)), (-1.0, (None, None)), (5_000.0, (None, None))],
)
def test_an_open_that_is_not_a_price_of_the_day_gives_no_change(
    opened: float, expected: tuple[float | None, float | None]
) -> None:
    assert change_since(opened, 102.0, 99.0, 104.0) == expected


@pytest.mark.parametrize("price", [0.0, -1.0, float("inf"), float("nan")])
def test_what_is_not_a_price_has_no_difference(price: float) -> None:
    with pytest.raises((ValueError, OverflowError)):
        difference(price, price)
