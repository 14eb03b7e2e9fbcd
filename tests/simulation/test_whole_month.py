"""A month of the whole gateway: no call over a limit, hot keys under a quarter of an hour old."""

from dataclasses import replace
from statistics import mean

import pytest

from tests.simulation.whole_month import (
    BAD_DAYS,
    DAY_S,
    KEY,
    PLOTS,
    QUARTER_S,
    Outcome,
    Plot,
    simulate,
)

#: After a cold start the first minutes have more different queries than limits allow.
BEGUN_S = 900.0
#: A restart forgets which queries share the budget: more of them would spend it too early.
DAILY = tuple(n * DAY_S for n in range(1, 30))
#: Candles without a budget are refreshed every few seconds: a day has as many calls as a week.
DAYS = {
    "two candles, no key": 0.08,
    "market and two coins, no key": 0.25,
    "the same by their tickers": 0.4,
    "the same without venues": 0.4,
}
FLOODED_DAYS = {
    "market and two coins, no key, a flood passed through": 0.1,
    "market and seven coins, a flood passed through": 0.2,
    "the same without venues, a flood passed through": 0.25,
}


def spans(days: dict[str, float]) -> pytest.MarkDecorator:
    """`name` and `days`: so much of each plot in the suite, and three times as much in `chaos`."""
    longer = [pytest.param(name, 3 * span, marks=pytest.mark.chaos) for name, span in days.items()]
    return pytest.mark.parametrize(("name", "days"), [*days.items(), *longer])


@pytest.mark.timeout(240)
@spans(DAYS)
def test_hot_keys_are_never_older_than_a_quarter_of_an_hour(name: str, days: float) -> None:
    """Beside readers of sparklines, all coins' names, the whole market and other currencies."""
    month = simulate(replace(PLOTS[name], days=days, read_every_s=45.0))
    assert month.vendors.overruns == []
    assert [one for one in month.outcome.late if one[0] > BEGUN_S] == []
    assert month.outcome.oldest_s < QUARTER_S
    assert month.vendors.paths["coingecko_free", "list"] <= 6
    assert month.vendors.paths["coingecko_free", "sparklines"] <= days * 24 + 1


def assert_as_fresh(flooded: Outcome, quiet: Outcome) -> None:
    """Up to chance: the order of calls differs, and with it which call waits for another."""
    assert mean(flooded.market_ages) <= 1.05 * mean(quiet.market_ages)
    assert flooded.oldest["market"] <= 1.1 * quiet.oldest["market"]


@pytest.mark.timeout(240)
@spans(FLOODED_DAYS)
def test_a_flood_of_questions_passed_through_leaves_the_market_as_fresh(
    name: str, days: float
) -> None:
    """And the flood has its part."""
    plot = replace(PLOTS[name], days=days, read_every_s=45.0)
    flooded, quiet = simulate(plot), simulate(replace(plot, flood_every_s=0.0))
    assert flooded.vendors.overruns == []
    assert [one for one in flooded.outcome.late if one[0] > BEGUN_S] == []
    assert_as_fresh(flooded.outcome, quiet.outcome)
    passed = flooded.outcome.passed_through
    assert passed["200"] > 50 * days
    assert passed.keys() == {"200", "all_providers_failed"}


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_a_month_of_a_flood_passed_through() -> None:
    """Beside eight hot keys, restarts and dead providers."""
    plot = Plot(key=KEY, restarts=DAILY, down=BAD_DAYS, read_every_s=90.0, flood_every_s=60.0)
    flooded, quiet = simulate(plot), simulate(replace(plot, flood_every_s=0.0))
    assert flooded.vendors.overruns == []
    assert_as_fresh(flooded.outcome, quiet.outcome)
    assert flooded.outcome.passed_through["200"] > 1_000


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
