"""A month of the whole gateway: no call over a limit, hot keys under a quarter of an hour old."""

from dataclasses import replace

import pytest

from tests.simulation.whole_month import (
    BAD_DAYS,
    DAY_S,
    KEY,
    PLOTS,
    QUARTER_S,
    Plot,
    simulate,
)

#: After a cold start the first minutes have more different queries than limits allow.
BEGUN_S = 900.0
#: A restart forgets which queries share the budget: more of them would spend it too early.
DAILY = tuple(n * DAY_S for n in range(1, 30))
#: Candles without a budget are refreshed every few seconds: a day has as many calls as a week.
DAYS = {
    "two candles, no key": 0.25,
    "market and two coins, no key": 1.0,
    "the same by their tickers": 2.0,
    "the same without venues": 2.0,
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("name", "days"), DAYS.items())
def test_hot_keys_are_never_older_than_a_quarter_of_an_hour(name: str, days: float) -> None:
    """Beside readers of sparklines, all coins' names, the whole market and other currencies."""
    month = simulate(replace(PLOTS[name], days=days, read_every_s=45.0))
    assert month.vendors.overruns == []
    assert [one for one in month.outcome.late if one[0] > BEGUN_S] == []
    assert month.outcome.oldest_s < QUARTER_S
    assert month.vendors.paths["coingecko_free", "list"] <= 6
    assert month.vendors.paths["coingecko_free", "sparklines"] <= days * 24 + 1


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_a_month_of_eight_hot_keys_with_restarts_and_dead_providers() -> None:
    """10,000 calls a month last to its end."""
    plot = Plot(key=KEY, restarts=DAILY, down=BAD_DAYS, read_every_s=90.0)
    month = simulate(plot)
    assert month.vendors.overruns == []
    assert month.outcome.errors.total() <= 5
    assert [one for one in month.outcome.late if one[0] > BEGUN_S] == []
    assert month.vendors.paths["coingecko_free", "coins"] > 3_000
