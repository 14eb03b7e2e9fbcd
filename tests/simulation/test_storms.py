"""Virtual days, all faults at random: within all limits, and nobody without an answer."""

import pytest

from tests.simulation.storms import FAULTS, RARE, storm_of


@pytest.mark.looptime
@pytest.mark.timeout(240)
@pytest.mark.parametrize("days", [10.0, pytest.param(30.0, marks=pytest.mark.chaos)])
async def test_days_of_all_faults_at_random(days: float) -> None:
    storm = await storm_of(days, seed=1)
    assert storm.reads > 8_000 / 30 * days
    for weather in storm.weather.values():
        assert weather.calls > 1_000 / 30 * days, "it was left out"
        assert weather.overruns == []
        assert weather.too_early == []
        assert len(weather.met) > len(FAULTS) / 2
    met = set().union(*(weather.met for weather in storm.weather.values()))
    assert met >= set(FAULTS) - {RARE}
    assert storm.share_answered >= 0.999
    assert storm.stale > 0, "no fault was ever felt"
    assert storm.unflagged == []
    assert storm.too_old == []
