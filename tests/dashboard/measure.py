"""`python -m tests.dashboard.measure`: what the page weighs and how fast it is, on loopback."""

import asyncio
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from tests.dashboard.browser import Watched, open_browser, open_page
from tests.dashboard.frames import script_of_frames
from tests.dashboard.stage import Stage, open_stage

LOADS = 5
TICKS = 60
ROWS = 100, 250
#: When the first row was in the document.
WATCH = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("#coins tr")) return;
  window.first_row_ms = performance.now();
  observer.disconnect();
}).observe(document, { childList: true, subtree: true });
"""


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


async def tick(browser: Browser, stage: Stage, rows: int) -> list[float]:
    """The script of each frame in ms, while 100 coins move at a time and so many rows are shown."""

    async def move() -> None:
        for step in range(TICKS):
            await stage.move(1 + (step + 2) / 10_000)
            await asyncio.sleep(0.15)

    async with open_page(browser) as watched:
        await watched.page.goto(stage.url)
        await watched.rows()
        if rows > 100:
            await more(watched)
        await stage.move(1.0001)
        await asyncio.sleep(2)
        frames = await script_of_frames(browser, watched.page, move)
    return sorted(frames)[-TICKS:]  # the rest are frames of one cell, or of the seconds' ages


async def more(watched: Watched) -> None:
    """From 100 rows to 250."""
    await watched.of("#market-more").click()
    await watched.of("#coins tr").nth(249).wait_for(state="attached")


async def make_rows(browser: Browser, stage: Stage) -> float:
    """The script of the worst frame in ms, while 150 rows are made."""
    async with open_page(browser) as watched:
        await watched.page.goto(stage.url)
        await watched.rows()
        await asyncio.sleep(2)
        return max(await script_of_frames(browser, watched.page, lambda: more(watched)))


def report(rows: int, frames: list[float]) -> str:
    late = frames[int(len(frames) * 0.95)]
    return (
        f"{rows} rows, 100 of them change at a time: script of a frame in ms of CPU time: "
        f"median {statistics.median(frames):.1f}, 95th percentile {late:.1f}, "
        f"worst {frames[-1]:.1f}\n"
    )


async def main() -> None:
    say = sys.stdout.write
    with tempfile.TemporaryDirectory() as folder:
        async with open_stage(Path(folder)) as stage, open_browser() as browser:
            loads = [await load(browser, stage) for _ in range(LOADS)]
            frames = {count: await tick(browser, stage, count) for count in ROWS}
            making = await make_rows(browser, stage)
    rows, http, socket = (statistics.median(column) for column in zip(*loads, strict=True))
    say(f"first row after {rows:.0f} ms (slowest of {LOADS}: {max(loads)[0]:.0f} ms)\n")
    say(f"by HTTP, compressed {http:.0f} kB; first data by WebSocket, plain {socket:.0f} kB\n")
    for count, one in frames.items():
        say(report(count, one))
    say(f"while 150 rows are made: worst {making:.1f}\n")


if __name__ == "__main__":
    asyncio.run(main())
