"""The script of each frame of a page, in ms of CPU time of the page's thread, by tracing."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import Browser, Page

#: A callback of the page that the browser runs, and the callbacks of an animation frame.
CALL, FRAME = "FunctionCall", "FireAnimationFrame"
MAIN_THREAD = "CrRendererMain"


async def script_of_frames(
    browser: Browser, page: Page, act: Callable[[], Awaitable[None]]
) -> list[float]:
    """While `act` runs: for each animation frame that the page asked for, the thread time in ms of
    the page's script since the frame before, messages of the stream included."""
    await browser.start_tracing(page=page, categories=["devtools.timeline", "toplevel"])
    await act()
    trace = json.loads(await browser.stop_tracing())
    return frames_of(trace["traceEvents"])


def frames_of(events: list[dict[str, Any]]) -> list[float]:
    told = sorted(
        (one for one in events if one["name"] in {CALL, FRAME}), key=lambda one: one["ts"]
    )
    calls = [one for one in told if one["name"] == CALL and one.get("ph") == "X"]
    ends = [one["ts"] + one["dur"] for one in told if one["name"] == FRAME and one.get("ph") == "X"]
    frames, begin = [], 0
    for end in ends:
        mine = [one for one in outermost(calls) if begin <= one["ts"] < end]
        frames.append(sum(one["tdur"] for one in mine) / 1_000)
        begin = end
    return frames


def outermost(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the calls that are part of another one."""
    found, end = [], 0
    for one in calls:
        if one["ts"] >= end:
            found.append(one)
            end = one["ts"] + one["dur"]
    return found
