"""Every state in which a reader may find the page: axe finds nothing, and no words are cut off."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import OpenPage
from tests.dashboard.situations import SITUATIONS, open_situation
from tests.dashboard.stage import Stage
from tests.dashboard.test_page import serious

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Text that is wider than its box, with the longest ages. Names of coins may be cut off: they have
#: no limit, and a tip has the whole.
CUT = """() => {
  for (const age of document.querySelectorAll(".strip span"))
    age.textContent = age.textContent.replace(/^\\d.* · next.*/, "59 min old · next in 59 min");
  return [...document.querySelectorAll(
    ".badge, .strip b, .strip span, .note, .empty, .head h2, .detail dd, .global *, .card *,"
    + "#banner *, .days p, #gas-method, #connection-text, #version, #market-count")]
  .filter((node) => node.checkVisibility() && node.scrollWidth > node.clientWidth + 1
    && getComputedStyle(node).display !== "inline" && !node.matches(".sr, .sr *"))
  .map((node) => `${node.id || node.className}: ${node.textContent}`); }"""
WIDTHS = (390, 768, 960, 1280, 1920)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", SITUATIONS)
async def test_axe_finds_nothing_serious_and_no_words_are_cut_off(
    tmp_path: Path, look: OpenPage, name: str, scheme: Any
) -> None:
    async with (
        open_situation(name, tmp_path) as (stage, situation),
        look(stage.url, bypass_csp=True, color_scheme=scheme) as watched,
    ):
        if situation.reach:
            await situation.reach(stage, watched)
        assert await serious(watched) == []
        for width in WIDTHS if scheme == "light" else ():
            await watched.page.set_viewport_size({"width": width, "height": 900})
            assert await watched.page.evaluate(CUT) == [], width
        if name == "lost":
            await stage.start()
        watched.forgive_loss()
        if situation.complains:
            watched.errors = [one for one in watched.errors if "Failed to load" not in one]


async def test_nothing_of_a_gateway_without_answers_is_green(
    tmp_path: Path, look: OpenPage
) -> None:
    async with (
        open_situation("nothing_known", tmp_path) as (stage, situation),
        look(stage.url) as watched,
    ):
        assert situation.reach
        await situation.reach(stage, watched)
        bars = watched.of(".card .quota-bar")
        await expect(bars.first).to_be_attached()
        green = """() => [...document.querySelectorAll("main *")].filter((node) =>
            getComputedStyle(node).backgroundImage.includes("rgb(10, 119, 70)")
            || (node.childElementCount === 0 && node.textContent.trim()
              && getComputedStyle(node).color === "rgb(10, 119, 70)")).length"""
        assert await watched.page.evaluate(green) == 0
        await expect(watched.of("[data-category=market] span")).to_have_text("no answer")
        watched.errors = [one for one in watched.errors if "Failed to load" not in one]


async def test_a_gateway_that_reaches_no_provider_says_so(tmp_path: Path, look: OpenPage) -> None:
    async with (
        open_situation("no_network", tmp_path) as (stage, situation),
        look(stage.url) as watched,
    ):
        assert situation.reach
        await situation.reach(stage, watched)
        why = "the gateway reaches no provider, so its machine may be offline"
        await expect(watched.of("#banner-since")).to_contain_text(why)
        watched.errors = [one for one in watched.errors if "Failed to load" not in one]


async def test_a_locked_page_says_why_in_each_place(tmp_path: Path, look: OpenPage) -> None:
    async with (
        open_situation("locked", tmp_path) as (stage, situation),
        look(stage.url) as watched,
    ):
        assert situation.reach
        await situation.reach(stage, watched)
        for place in ("#global-why", "[data-category=market] span", "#market-empty"):
            await expect(watched.of(place)).to_contain_text("a key is required")
        for place in ("#chart-error", "#gas-method", "#sentiment-range"):
            await expect(watched.of(place)).to_have_text("A key is required")
        await expect(watched.of("#status-badge")).to_have_text("Nothing to show")


async def test_a_window_that_is_widened_shows_more_coins(stage: Stage, look: OpenPage) -> None:
    async with look(stage.url, viewport={"width": 768, "height": 1024}) as watched:
        await watched.rows()
        await expect(watched.of("#coins tr")).to_have_count(25)
        await watched.page.set_viewport_size({"width": 1024, "height": 768})
        await expect(watched.of("#coins tr")).to_have_count(100)
        await watched.page.set_viewport_size({"width": 768, "height": 1024})
        await expect(watched.of("#coins tr")).to_have_count(100)
