"""Each fault of one provider at each rate, with its rivals well and with nobody else there."""

import pytest

from tests.chaos.cells import RATES, Life, begin, trouble_of
from tests.chaos.record import Cell, judge
from tests.chaos.rows import ROWS, Row
from tests.chaos.scene import staged
from tests.chaos.subjects import SUBJECTS, Subject


def lives(row: Row) -> list[tuple[Subject, Life]]:
    """At all rates beside its rivals, at one of them alone; at all alone where it has none."""
    concerned = [subject for subject in SUBJECTS if row.why_not(subject) is None]
    beside = [(one, Life(row, tuple(RATES), alone=not one.rivals)) for one in concerned]
    rest = [subject for subject in concerned if subject.rivals and subject.can_be_alone]
    alone = [(one, Life(row, ("4 a minute",), alone=True)) for one in rest]
    return [*beside, *alone]


async def live(subject: Subject, life: Life) -> None:
    async with staged(subject, alone=life.alone) as scene:
        await begin(scene, life.row.fault)
        await life.run(scene)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
async def test_the_fault_is_met_by_the_right_state_and_no_reader_suffers(row: Row) -> None:
    cells: list[Cell] = []
    for subject, life in lives(row):
        error = await trouble_of(live(subject, life))
        cells += [
            Cell(row.name, subject.label, f"{phase}{', alone' * life.alone}", trouble)
            for phase, trouble in life.troubles(error).items()
        ]
    judge(cells)
