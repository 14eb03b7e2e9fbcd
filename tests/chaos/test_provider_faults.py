"""Each fault of one provider at each rate, with its rivals well and with nobody else there."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.chaos.cells import RATES, Life, begin, trouble_of
from tests.chaos.record import Cell, judge
from tests.chaos.rows import ROWS, Row
from tests.chaos.scene import staged
from tests.chaos.subjects import SUBJECTS, Subject

#: Gateways at a time: few enough that nobody starves. Silence can be shared.
AT_ONCE, SILENT_AT_ONCE = 3, 20


def lives(row: Row) -> list[tuple[Subject, Life]]:
    """At all rates beside its rivals, at one of them alone; at all alone where it has none."""
    concerned = [subject for subject in SUBJECTS if row.why_not(subject) is None]
    beside = [(one, Life(row, tuple(RATES), alone=not one.rivals)) for one in concerned]
    alone = [(one, Life(row, ("4 a minute",), alone=True)) for one in concerned if one.rivals]
    return [*beside, *alone]


async def live(subject: Subject, life: Life, beginnings: asyncio.Semaphore) -> None:
    """Gateways begin a few at a time, all being well: a crowd of them would run into time-outs."""
    async with AsyncExitStack() as stack:
        async with beginnings:
            scene = await stack.enter_async_context(
                staged(subject, alone=life.alone, changes=life.row.changes)
            )
            await begin(scene, life.row.fault)
        await life.run(scene)


async def judge_all(row: Row, planned: list[tuple[Subject, Life]]) -> None:
    limit = asyncio.Semaphore(SILENT_AT_ONCE if row.is_silent else AT_ONCE)
    beginnings = asyncio.Semaphore(AT_ONCE)
    errors = await asyncio.gather(*(trouble_of(limit, live(*one, beginnings)) for one in planned))
    judge(
        [
            Cell(row.name, subject.label, f"{phase}{', alone' * life.alone}", trouble)
            for (subject, life), error in zip(planned, errors, strict=True)
            for phase, trouble in life.troubles(error).items()
        ]
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row.name, marks=[pytest.mark.silent] if row.is_silent else [])
        for row in ROWS
    ],
)
async def test_the_fault_is_met_by_the_right_state_and_no_reader_suffers(row: Row) -> None:
    await judge_all(row, lives(row))
