"""Midnights, the ends of months, leap days, and a wall clock that is wrong by two hours."""

from datetime import UTC, datetime, timedelta

import pytest

from backend.environment.forms import DAY, MONTH, CallLimit
from tests.chaos.answers import check_all
from tests.chaos.cells import QUARTER_S, begin
from tests.chaos.record import Cell, judge
from tests.chaos.scene import Scene, staged
from tests.chaos.subjects import ALL_SUBJECTS, KEYS, SUBJECTS, Changes, Subject

BY_LABEL = {one.label: one for one in ALL_SUBJECTS}
GAS, DEMO = BY_LABEL["etherscan (gas)"], BY_LABEL["coingecko_free (market)"]
BEFORE_S = 60.0
#: Of a limit of so many a share stays unused.
LIMIT = 6
#: A month's is paced so that no month begins with a burst: here one call in 260 s.
MONTHLY = 10_000
TURNS = {
    "midnight": (GAS, DAY, datetime(2027, 3, 10, tzinfo=UTC)),
    "month end": (DEMO, MONTH, datetime(2027, 4, 1, tzinfo=UTC)),
    "leap day": (DEMO, MONTH, datetime(2028, 3, 1, tzinfo=UTC)),
}


@pytest.mark.parametrize("name", TURNS)
async def test_a_budget_comes_back_with_its_period_and_not_before(name: str) -> None:
    subject, period_s, turn = TURNS[name]
    changes = Changes(keys={"coingecko_free": KEYS["coingecko_free"]})
    changes.limits[subject.name] = (CallLimit(LIMIT if period_s == DAY else MONTHLY, period_s),)
    start = turn - timedelta(seconds=BEFORE_S + LIMIT * QUARTER_S)
    async with staged(subject, alone=True, changes=changes, start=start) as scene:
        scene.world.limits[subject.name] = (1_000, 60.0)
        for _ in range(LIMIT):
            await scene.ask()
            scene.clock.step(QUARTER_S)
        before = scene.calls()
        assert period_s == MONTH or before <= LIMIT - 1, "more than the budget"
        quotas = scene.provider()["quotas"]
        resets = datetime.fromisoformat(quotas[0]["resets_at"])
        assert resets == turn, f"it resets at {resets}"
        scene.clock.step(BEFORE_S + 5)
        await scene.ask()
        assert scene.provider()["quotas"][0]["used"] <= 1
        assert scene.calls() == before + 1, "still locked out"
        check_all(scene, are_errors_allowed=True)
    judge([Cell(name, subject.label, "4 an hour", None)])


async def _used(scene: Scene) -> int:
    return max((quota["used"] for quota in scene.provider()["quotas"]), default=0)


@pytest.mark.parametrize("skew_h", [2, -2])
@pytest.mark.parametrize("subject", SUBJECTS, ids=[subject.label for subject in SUBJECTS])
async def test_a_clock_off_by_two_hours_gives_no_quota_and_blocks_no_client(
    subject: Subject, skew_h: int
) -> None:
    with_months = Changes(limits={"coingecko_free": ()})
    async with staged(subject, alone=True, changes=with_months) as scene:
        await begin(scene, "none")
        used, calls = await _used(scene), scene.calls()
        scene.wrong.skew_s = skew_h * 3_600.0
        assert await _used(scene) >= used, "quota came back by the clock alone"
        for _ in range(3):
            scene.clock.step(max(subject.spacing_s, 61.0))
            reading = await scene.ask()
            assert reading.status == 200, reading.body[:300]
        assert scene.calls() > calls, "locked out"
        assert scene.world.overruns == []
    judge([Cell(f"clock {skew_h:+d} h", subject.label, "a read a minute", None)])
