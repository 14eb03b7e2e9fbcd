"""One provider's odd bytes, rows and words, one kind after the other in one life of a gateway."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.chaos.answers import check_all
from tests.chaos.cells import Blind, Watch, begin, due, four_a_minute, heal, trouble_of
from tests.chaos.kinds import KINDS, TLS_KIND
from tests.chaos.record import Cell, judge
from tests.chaos.rows import Row
from tests.chaos.scene import Scene, staged
from tests.chaos.subjects import SUBJECTS, Subject

#: Tests that share the subjects.
PARTS = 4


async def meet(scene: Scene, row: Row, *, alone: bool) -> None:
    """The fault comes, is met at 4 a minute, and goes."""
    scene.readings.clear()
    scene.world.faults[scene.subject.name] = row.fault
    watch = (Blind if row.tolerates(scene.subject) else Watch)(scene, row)
    await due(scene)
    await four_a_minute(scene, watch)
    assert watch.attempts, "the fault was never met"
    check_all(scene, are_errors_allowed=alone)
    if row.is_told:
        assert any(is_warned(reading.json()) for reading in scene.readings), "nobody was warned"
    await heal(scene)
    check_all(scene, are_errors_allowed=alone)
    assert scene.world.overruns == []


def is_warned(document: dict[str, dict[str, list[str]]]) -> bool:
    warnings = document.get("meta", {}).get("warnings", [])
    return any("refused as" in one or "left out as" in one for one in warnings)


async def life(subject: Subject, rows: Sequence[Row], *, alone: bool, is_tls: bool) -> list[Cell]:
    """What became of each row. Whoever fails ends the gateway's life: the next has a new one."""
    waiting = [row for row in rows if row.why_not(subject) is None]
    cells: list[Cell] = []
    while waiting:
        scene_of = staged(subject, alone=alone, is_tls=is_tls)
        async with scene_of as scene:
            await begin(scene, "none")
            trouble = None
            while waiting and not trouble:
                row = waiting.pop(0)
                # In so long a life it may have been in cooldown before, and then is so for longer.
                lasting = replace(row, first_s=row.later_s)
                trouble = await trouble_of(meet(scene, lasting, alone=alone))
                how = f"4 a minute{', alone' * alone}"
                cells.append(Cell(row.name, subject.label, how, trouble))
    return cells


async def judge_lives(
    subjects: Sequence[Subject], rows: Sequence[Row], *, is_tls: bool = False
) -> None:
    cells: list[Cell] = []
    for subject in subjects:
        for alone in {True, not subject.rivals}:
            cells += await life(subject, rows, alone=alone, is_tls=is_tls)
    judge(cells)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("part", range(PARTS))
async def test_each_kind_costs_no_more_than_itself(part: int) -> None:
    await judge_lives(SUBJECTS[part::PARTS], KINDS)


@pytest.mark.timeout(120)
async def test_damaged_records_are_a_broken_connection() -> None:
    await judge_lives(SUBJECTS, [TLS_KIND], is_tls=True)
