"""`python -m tests.dashboard.measure`: what the page weighs and how fast it is, on loopback."""

import asyncio
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

from tests.dashboard.browser import open_browser, open_page
from tests.dashboard.stage import Stage, open_stage

LOADS = 5
TICKS = 60
#: Frames as the page measures them itself, and when the first row was in the document.
WATCH = """
window.frames_ms = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries())
    if (entry.name === "dashboard frame") window.frames_ms.push(entry.duration);
}).observe({ type: "measure" });
new MutationObserver((_, observer) => {
  if (!document.querySelector("#coins tr")) return;
  window.first_row_ms = performance.now();
  observer.disconnect();
}).observe(document, { childList: true, subtree: true });
"""
#: DevTools' own counters, in seconds; layout and style are not part of the page's measure.
COUNTERS = ("ScriptDuration", "RecalcStyleDuration", "LayoutDuration", "TaskDuration")


async def load(browser: Browser, stage: Stage) -> tuple[float, float, float]:
    """First row in ms, kB by HTTP as it travels, kB by WebSocket until all is there."""
    http_bytes, socket_bytes = 0, 0

    def count_http(event: Any) -> None:
        nonlocal http_bytes
        http_bytes += event["encodedDataLength"]

    def count_socket(event: Any) -> None:
        nonlocal socket_bytes
        socket_bytes += len(event["response"]["payloadData"].encode())

    async with open_page(browser) as watched:
        session = await watched.page.context.new_cdp_session(watched.page)
        await session.send("Network.enable")
        session.on("Network.loadingFinished", count_http)
        session.on("Network.webSocketFrameReceived", count_socket)
        await watched.page.add_init_script(WATCH)
        await watched.page.goto(stage.url)
        await watched.rows()
        await watched.page.wait_for_function("document.querySelector('#news-list li')")
        first_row_ms = await watched.page.evaluate("window.first_row_ms")
    return first_row_ms, http_bytes / 1_000, socket_bytes / 1_000


async def counters(page: Page) -> Callable[[], Any]:
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")

    async def read() -> dict[str, float]:
        told = (await session.send("Performance.getMetrics"))["metrics"]
        return {one["name"]: one["value"] * 1_000 for one in told if one["name"] in COUNTERS}

    return read


async def tick(browser: Browser, stage: Stage) -> tuple[list[float], dict[str, float]]:
    """Each frame's script in ms, and DevTools' ms a tick, while 100 coins move at a time."""
    async with open_page(browser) as watched:
        await watched.page.add_init_script(WATCH)
        await watched.page.goto(stage.url)
        await watched.rows()
        await stage.move(1.0001)
        await asyncio.sleep(2)
        read = await counters(watched.page)
        await watched.page.evaluate("window.frames_ms = []")
        before = await read()
        for step in range(TICKS):
            await stage.move(1 + (step + 2) / 10_000)
            await asyncio.sleep(0.15)
        after = await read()
        frames = await watched.page.evaluate("window.frames_ms")
    return frames, {name: (after[name] - before[name]) / TICKS for name in COUNTERS}


async def main() -> None:
    say = sys.stdout.write
    with tempfile.TemporaryDirectory() as folder:
        async with open_stage(Path(folder)) as stage, open_browser() as browser:
            loads = [await load(browser, stage) for _ in range(LOADS)]
            frames, costs = await tick(browser, stage)
    rows, http, socket = (statistics.median(column) for column in zip(*loads, strict=True))
    say(f"first row after {rows:.0f} ms (slowest of {LOADS}: {max(loads)[0]:.0f} ms)\n")
    say(f"by HTTP, compressed {http:.0f} kB; first data by WebSocket, plain {socket:.0f} kB\n")
    busy = sorted(frames)[-TICKS:]  # the rest are the seconds' ages
    say(f"frames with 100 rows: median {statistics.median(busy):.2f} ms of script, ")
    say(f"95th percentile {busy[int(len(busy) * 0.95)]:.2f} ms, worst {busy[-1]:.2f} ms\n")
    told = ", ".join(f"{name.removesuffix('Duration')} {ms:.2f}" for name, ms in costs.items())
    say(f"DevTools, ms a tick in all: {told}\n")


if __name__ == "__main__":
    asyncio.run(main())
