"""Ranges of series: asked for on the grid, cut to what was asked."""

import json

import pytest

from api.facades.coingecko.series import Range, cut
from tests.api.facades.coingecko.conftest import Scene
from tests.clocks import EPOCH

NOW, DAY = int(EPOCH.timestamp()), 86_400
CHART = "coins/bitcoin/market_chart/range?vs_currency=usd"


async def test_ranges_up_to_now_are_one_question_within_a_step(scene: Scene) -> None:
    for seconds in (1, 7, 200, 299):
        scene.clock.advance(7)
        first, last = NOW - 3 * 3_600 + seconds, NOW + seconds
        chart = await scene.get(f"{CHART}&from={first}&to={last}")
        assert list(chart) == ["prices", "market_caps", "total_volumes"]
        for points in chart.values():
            assert first * 1_000 <= points[0][0] < (first + 310) * 1_000
            assert points[-1][0] <= last * 1_000
            assert len(points) in {35, 36, 37}
    grid = {"from": f"{NOW - 3 * 3_600}", "to": f"{NOW + 300}", "vs_currency": "usd"}
    assert scene.calls == [("coins/bitcoin/market_chart/range", grid)]


RANGES = [(1, 0, 300), (30, 0, 900), (90, 0, 900), (120, 0, 3_600), (30, 2 * DAY, DAY)]


async def test_a_range_is_fresh_as_long_as_its_points_are_apart(scene: Scene) -> None:
    for days, ends_s_ago, ttl_s in RANGES:
        last = NOW - ends_s_ago
        answer = await scene.ask(f"{CHART}&from={last - days * DAY}&to={last}")
        assert answer.headers["cache-control"] == f"public, max-age={ttl_s}"
        assert answer.headers["x-source"] == "coingecko_free"
        assert {"etag", "age", "x-cache"} <= set(answer.headers)


async def test_other_forms_of_times_are_asked_as_they_are(scene: Scene) -> None:
    """Dates are for paid plans; the vendor says what it thinks of them."""
    refusals = (f"from={NOW}&to={NOW - 10}", f"from={NOW}&to={NOW}")
    for bounds in refusals:
        await scene.ask(f"{CHART}&{bounds}")
        sent = dict(part.split("=") for part in bounds.split("&"))
        assert scene.calls[-1][1] == {**sent, "vs_currency": "usd"}


async def test_a_refusal_of_a_range_is_the_vendors(scene: Scene) -> None:
    target = f"coins/no-such-coin/market_chart/range?vs_currency=usd&from={NOW - 60}&to={NOW}"
    answer = await scene.ask(target)
    assert (answer.status_code, answer.json()) == (404, {"error": "coin not found"})


@pytest.mark.parametrize(
    ("asked", "step_s", "sent"),
    [
        (Range(601, 899), 300, Range(600, 900)),
        (Range(600, 900), 300, Range(600, 900)),
        (Range(7.5, 3_599.5), 300, Range(0, 3_600)),
        # Wider than a day the points would be an hour apart.
        (Range(10, 10 + DAY), 300, Range(300, 300 + DAY)),
        (Range(0, DAY), 300, Range(0, DAY)),
        (Range(10, 10 + 90 * DAY), 900, Range(900, 900 + 90 * DAY)),
        (Range(10, 20 + 90 * DAY), 3_600, Range(0, 3_600 + 90 * DAY)),
    ],
)
def test_the_grid(asked: Range, step_s: float, sent: Range) -> None:
    assert asked.on_grid(step_s) == sent


def test_only_stamped_points_are_cut() -> None:
    document = {"prices": [[999, 1], [1_000, 2], [2_000, 3], [2_001, 4], "odd", []], "other": 7}
    made = cut(json.dumps(document).encode(), Range(1, 2))()
    assert json.loads(made) == {"prices": [[1_000, 2], [2_000, 3], "odd", []], "other": 7}
    assert cut(b"[1]", Range(1, 2))() == b"[1]"
