"""What one animation frame may do, and how its script is measured."""

from typing import Any

import pytest
from playwright.async_api import expect

from tests.dashboard.browser import Watched
from tests.dashboard.frames import CALL, FRAME, frames_of

#: The most rows of each batch of changes: one animation frame is one batch.
COUNT_ROWS = """() => { window.batches = [];
  new MutationObserver((changes) => window.batches.push(
    changes.reduce((sum, { addedNodes }) => sum + addedNodes.length, 0)
  )).observe(document.getElementById("coins"), { childList: true }); }"""


def event(name: str, start_ms: int, length_ms: int) -> dict[str, Any]:
    told = {"name": name, "ph": "X", "ts": start_ms * 1_000, "dur": length_ms * 1_000}
    return {**told, "tdur": length_ms * 1_000}


def test_a_frame_has_the_calls_since_the_frame_before_and_none_twice() -> None:
    events = [
        event(CALL, 0, 2),  # a message
        event(FRAME, 10, 4),
        event(CALL, 10, 4),
        event(CALL, 11, 1),  # a part of it
        event(FRAME, 30, 5),
        event(CALL, 30, 5),
        event(CALL, 40, 9),  # of a frame that is not over
    ]
    assert frames_of(events) == [6.0, 5.0]


@pytest.mark.asyncio(loop_scope="session")
async def test_no_frame_makes_more_than_25_rows(watched: Watched) -> None:
    await watched.page.evaluate(COUNT_ROWS)
    await watched.of("#market-more").click()
    await expect(watched.of("#coins tr")).to_have_count(250)
    batches = await watched.page.evaluate("window.batches")
    assert sum(batches) == 150
    assert max(batches) <= 25
    await expect(watched.of("#coins tr").nth(100).locator(".pick")).to_be_focused()
