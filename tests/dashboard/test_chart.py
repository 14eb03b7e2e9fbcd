"""The chart of the selected coin."""

import json
import re

import pytest
from playwright.async_api import expect

from tests.dashboard.browser import Watched
from tests.dashboard.conftest import OpenPage
from tests.dashboard.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: How many different colours the chart's canvases show: a blank one shows one or none.
COLOURS = """() => {
  const seen = new Set();
  for (const canvas of document.querySelectorAll("#chart canvas")) {
    const { width, height } = canvas;
    if (!width || !height) continue;
    const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    for (let at = 0; at < pixels.length; at += 4) seen.add(pixels.slice(at, at + 3).join());
  }
  return [...seen];
}"""


async def test_it_draws_candles_up_and_down(watched: Watched) -> None:
    await expect(watched.of("#chart-error")).to_be_empty()
    await watched.page.wait_for_function(f"({COLOURS})().includes('10,119,70')")
    assert "192,47,45" in await watched.page.evaluate(COLOURS)
    watched.forgive("Canvas2D")  # that this test reads its pixels


#: What the chart's canvases show above the volume.
PIXELS = """() => [...document.querySelectorAll("#chart canvas")]
  .filter((canvas) => canvas.width && canvas.height > 9)
  .map((canvas) => canvas.getContext("2d")
    .getImageData(0, 0, canvas.width, canvas.height * 0.7).data.join()).join()"""


async def test_it_draws_volume_below_the_candles(watched: Watched) -> None:
    """In the light, `--up-bar` and `--down-bar`: nothing else on the chart has these."""
    await watched.page.wait_for_function(f"({COLOURS})().includes('169,217,193')")
    assert "240,188,185" in await watched.page.evaluate(COLOURS)
    watched.forgive("Canvas2D")


async def test_the_drawing_changes_with_the_stream(stage: Stage, watched: Watched) -> None:
    await expect(watched.of("#chart-legend")).to_contain_text("forming")
    await watched.page.wait_for_timeout(500)
    before = await watched.page.evaluate(PIXELS)
    await watched.page.wait_for_timeout(500)
    assert await watched.page.evaluate(PIXELS) == before, "nothing moves by itself"
    await stage.move_candle(64_000)
    await watched.page.wait_for_function(f"(before) => ({PIXELS})() !== before", arg=before)
    watched.forgive("Canvas2D")


async def test_the_chart_names_its_maker(watched: Watched) -> None:
    await expect(watched.of("#chart a[href*=tradingview]")).to_be_visible()


async def test_its_last_candle_moves_with_the_stream(stage: Stage, watched: Watched) -> None:
    legend = watched.of("#chart-legend")
    await expect(legend).to_contain_text("C 61,240.5")
    await expect(legend).to_contain_text("forming")
    await stage.move_candle(62_000)
    await expect(legend).to_contain_text("C 62,000")
    await expect(watched.of("#ohlc-badge")).to_contain_text("Live")


async def test_another_interval_is_another_series(stage: Stage, watched: Watched) -> None:
    await watched.of("#intervals").get_by_text("4h").click()
    await expect(watched.of("#chart")).to_have_attribute(
        "aria-label", re.compile("BTC candles, 4h; O \\d")
    )
    pressed = watched.of("#intervals [aria-pressed=true]")
    await expect(pressed).to_have_text(["4h"])
    await stage.move_candle(63_000, "4h")
    await expect(watched.of("#chart-legend")).to_contain_text("C 63,000")


async def test_candles_of_the_previous_series_are_not_drawn(stage: Stage, look: OpenPage) -> None:
    """Bitcoin's candles arrive once more, after those of the newly selected coin."""
    bitcoins, is_chosen = "", False

    def late(text: str) -> str | list[str]:
        nonlocal bitcoins
        frame = json.loads(text)
        if (frame.get("channel"), frame.get("type")) == ("ohlc", "snapshot"):
            bitcoins = bitcoins or text
        return [bitcoins, text] if is_chosen and frame.get("channel") == "market" else text

    async with look("about:blank") as watched:
        await watched.rewrite(late)
        await watched.page.goto(stage.url)
        await watched.rows()
        await watched.of("#coins tr[data-key=solana]").click()
        legend = watched.of("#chart-legend")
        await expect(legend).to_contain_text("C 141.72")
        assert json.loads(bitcoins)["id"] == "bitcoin"
        is_chosen = True
        await stage.move(1.01, only="solana")
        await expect(watched.of("#selected-price")).to_have_text("143.14")
        await expect(legend).to_contain_text("C 141.72")
        await expect(watched.of("#selected-symbol")).to_have_text("SOL / USD")


async def test_a_coin_without_candles_shows_the_reason(stage: Stage, watched: Watched) -> None:
    stage.world.faults = {"binance": "http500", "coingecko_free": "http500"}
    await watched.of("#coins tr[data-key=chainlink]").click()
    error = watched.of("#chart-error")
    await expect(error).to_have_text("No provider answered")
    await expect(watched.of("#ohlc-badge")).to_have_text("Nothing to show")
