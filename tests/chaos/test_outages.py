"""Everybody down for an hour; thousands on a cold key; readers who leave; bodies without end."""

import asyncio

import pytest

from tests.chaos.answers import check_all
from tests.chaos.cells import begin, due
from tests.chaos.record import Cell, judge
from tests.chaos.scene import Reading, Scene, staged
from tests.chaos.subjects import PLAIN_SETTINGS, SUBJECTS, Changes, Subject
from tests.memory import growth
from tests.world.messages import Request

_NO_REQUEST = Request("", {}, {})

#: One of each category, with rivals where there are any.
FIRSTS = tuple({one.category: one for one in reversed(SUBJECTS)}.values())
HOUR_S, THOUSANDS = 3_600.0, 2_000
#: Of an hour's outage, so long there is something to serve; seconds.
SERVED_S = 1_200.0
ROUGHLY = {f"max_stale_{one}": SERVED_S for one in ("market", "ohlc", "news", "sentiment")}
#: Those of which the settings say how old an answer may become.
EXPIRING = [one for one in FIRSTS if hasattr(PLAIN_SETTINGS, f"max_stale_{one.category}")]
BY_CATEGORY = pytest.mark.parametrize("subject", FIRSTS, ids=[one.category for one in FIRSTS])


def done(row: str, how: str, subject: Subject) -> None:
    judge([Cell(row, subject.label, how, None)])


@pytest.mark.timeout(60)
@pytest.mark.parametrize("step_s", [900.0, 15.0, 2.0])
@pytest.mark.parametrize("subject", EXPIRING, ids=[one.category for one in EXPIRING])
async def test_all_down_for_an_hour_is_stale_then_the_precise_error(
    subject: Subject, step_s: float
) -> None:
    changes = Changes({**ROUGHLY, "cache_ttl_market": 10.0})
    async with staged(subject, changes=changes) as scene:
        await begin(scene, "none")
        asked = (subject.name, *subject.rivals)
        scene.world.faults |= dict.fromkeys(scene.world._servers, "http500")
        before = sum(scene.world.calls[name] for name in asked)
        for _ in range(int(HOUR_S / step_s)):
            scene.clock.step(step_s)
            await scene.ask()
        calls = sum(scene.world.calls[name] for name in asked) - before
        assert calls <= HOUR_S / 5 + len(asked), f"{calls} calls in an hour without anybody"
        statuses = [reading.status for reading in scene.readings]
        first_error = statuses.index(503)
        assert set(statuses[:first_error]) == {200}
        assert 200 not in statuses[first_error:]
        check_all(scene, are_errors_allowed=True)
        scene.world.faults.clear()
        scene.clock.step(int(scene.readings[-1].headers["retry-after"]))
        assert (await scene.ask()).json()["meta"]["stale"] is False
        assert scene.world.overruns == []
    done("all down for an hour", f"a read each {step_s:g} s", subject)


async def thousands(scene: Scene) -> list[asyncio.Task[Reading]]:
    tasks = [asyncio.create_task(scene.read()) for _ in range(THOUSANDS)]
    await asyncio.sleep(0)
    return tasks


@pytest.mark.timeout(60)
@BY_CATEGORY
async def test_thousands_on_one_cold_key_are_one_upstream_call(subject: Subject) -> None:
    async with staged(subject) as scene:
        scene.world.delay_s = 0.3
        readings = await asyncio.gather(*await thousands(scene))
        assert {reading.status for reading in readings} == {200}
        assert len({reading.body for reading in readings}) == 1
        data_paths = [path for path in scene.world.paths[subject.name] if path[-4:] != "/key"]
        assert len(data_paths) == len(set(data_paths)), data_paths
        assert scene.world.overruns == []
    done("10,000 readers on one cold key", f"{THOUSANDS} at once", subject)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("leavers", ["the leader", "everybody"])
@BY_CATEGORY
async def test_clients_that_leave_do_not_disturb_others(subject: Subject, leavers: str) -> None:
    async with staged(subject, alone=True) as scene:
        scene.world.delay_s = 0.2
        tasks = [asyncio.create_task(scene.read()) for _ in range(20)]
        while not scene.calls():
            await asyncio.sleep(0.01)
        left = tasks[:1] if leavers == "the leader" else tasks
        for task in left:
            task.cancel()
        stayed = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(getattr(one, "status", 200) == 200 for one in stayed)
        await scene.settle()
        calls = scene.calls()
        assert (await scene.ask()).status == 200
        if leavers == "the leader" or subject.category != "ohlc":
            assert scene.calls() == calls, "what had been paid for was thrown away"
    done(f"{leavers} disconnecting", "20 at once", subject)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("row", "fault", "subjects"),
    [
        ("400 MB body", "endless", SUBJECTS),
        ("400 MB body", "400_mb", SUBJECTS),
        ("gzip bomb", "large_gzip_bomb", SUBJECTS),
    ],
)
async def test_a_body_without_end_takes_little_memory(
    row: str, fault: str, subjects: tuple[Subject, ...]
) -> None:
    cells = []
    for subject in subjects:
        async with staged(subject, alone=True) as scene:
            await begin(scene, fault)
            await due(scene)
            if fault.endswith("bomb"):
                scene.world._reply(subject.name, _NO_REQUEST, fault)  # packed once, beforehand
            with growth() as grown:
                await scene.ask()
        trouble = f"{grown.mb:.0f} MB at once" if grown.mb > 64 else None
        cells.append(Cell(row, subject.label, "memory", trouble))
    judge(cells)


@pytest.mark.timeout(60)
@BY_CATEGORY
async def test_a_redirect_to_another_host_is_not_followed(subject: Subject) -> None:
    reached: list[object] = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("peername"))
        writer.close()

    other = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with other, staged(subject, alone=True) as scene:
        port = other.sockets[0].getsockname()[1]
        scene.world.elsewhere = f"http://localhost:{port}/elsewhere"
        await begin(scene, "redirect")
        await due(scene)
        await scene.ask()
        assert scene.provider()["reason"] == "bad_payload"
    assert reached == []
    done("redirect to another host", "a listener there", subject)
