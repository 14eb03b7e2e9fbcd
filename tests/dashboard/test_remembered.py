"""What the page remembers: the coin and interval of its address, the watchlist, the view."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.dashboard.browser import Watched, open_page
from tests.dashboard.conftest import OpenPage
from tests.dashboard.stage import Stage, open_stage
from tests.dashboard.test_choices import forgive_status
from tests.dashboard.test_page import serious

pytestmark = pytest.mark.asyncio(loop_scope="session")

PRESSED = "#intervals [aria-pressed=true]"
WITH_BEYOND = {"COINGECKO_FREE_LIMITS": "60/minute"}


async def chosen(watched: Watched, name: str, interval: str) -> None:
    await expect(watched.of("#selected-name")).to_have_text(name)
    await expect(watched.of(PRESSED)).to_have_text(interval)
    await expect(watched.of("#chart")).to_have_attribute("aria-label", rf" candles, {interval};")


async def test_a_choice_is_in_the_address_and_is_remembered(watched: Watched) -> None:
    assert "#" not in watched.page.url
    await watched.of("#coins tr[data-key=solana] .pick").click()
    await watched.of("#intervals >> text=4h").click()
    await expect(watched.of(PRESSED)).to_have_text("4h")
    address = watched.page.url
    assert address.endswith("#coin=solana&interval=4h")
    await watched.page.goto("about:blank")
    await watched.page.goto(address.partition("#")[0])
    await expect(watched.of("#selected-name")).to_have_text("Solana")
    await expect(watched.of(PRESSED)).to_have_text("4h")
    await expect(watched.of("#coins tr[data-key=solana] .pick")).to_have_attribute(
        "aria-pressed", "true"
    )


@pytest.mark.parametrize("name", ["cardano", "ADA", "ada"])
async def test_a_permalink_comes_before_memory(stage: Stage, look: OpenPage, name: str) -> None:
    async with look("about:blank") as watched:
        await watched.page.goto(f"{stage.url}#coin={name}&interval=1d")
        await expect(watched.of("#selected-name")).to_have_text("Cardano")
        await expect(watched.of(PRESSED)).to_have_text("1d")
        await watched.page.evaluate("location.hash = 'coin=solana&interval=15m'")
        await expect(watched.of("#selected-name")).to_have_text("Solana")
        await expect(watched.of(PRESSED)).to_have_text("15m")


async def test_a_permalink_reaches_coins_beyond_the_list(tmp_path: Path, look: OpenPage) -> None:
    async with open_stage(tmp_path, **WITH_BEYOND) as stage, look("about:blank") as watched:
        stage.world.limits["coingecko_free"] = 60, 60.0
        await watched.page.goto(f"{stage.url}#coin=tiny-coin")
        await expect(watched.of("#selected-name")).to_have_text("Tiny Coin")
        await expect(watched.of("#coins tr").first).to_have_attribute("data-key", "tiny-coin")
        forgive_status(watched)  # no provider has candles of it


@pytest.mark.parametrize(
    "fragment",
    [
        "coin=no-such-coin&interval=9q",
        f"coin={'x' * 5_000}",
        "coin=%3Cimg%20src%3Dx%3E&interval=__proto__",
        "%%%",
        "coin=&interval=",
        "market",
    ],
)
async def test_a_fragment_that_means_nothing_harms_nothing(
    stage: Stage, look: OpenPage, fragment: str
) -> None:
    async with look("about:blank") as watched:
        await watched.page.goto(f"{stage.url}#{fragment}")
        await watched.rows_only()
        await watched.of("#coins tr[data-key=bitcoin] .pick").click()
        await expect(watched.of("#selected-name")).to_have_text("Bitcoin")
        await expect(watched.of(PRESSED)).to_have_text("1h")
        await expect(watched.of("#chart-legend")).to_contain_text("UTC")
        forgive_status(watched)


async def test_watched_coins_are_kept_and_shown_alone(watched: Watched) -> None:
    star = watched.of("#coins tr[data-key=solana] .star")
    await expect(star).to_have_attribute("aria-label", "Watch Solana")
    await star.click()
    await expect(star).to_have_attribute("aria-pressed", "true")
    await expect(watched.of("#selected-name")).to_have_text("Bitcoin")  # a star selects nothing
    await watched.of("#watch").click()
    await expect(watched.of("#coins tr[data-key=bitcoin] .star")).to_have_text("★")
    await watched.page.reload()
    await watched.rows()
    await watched.of("[data-view=watched]").click()
    await expect(watched.of("#coins .name")).to_have_text(["Bitcoin", "Solana"])
    await expect(watched.of("#market-count")).to_have_text("2 of 250 match")
    await watched.of("#coins tr[data-key=solana] .star").click()
    await expect(watched.of("#coins .name")).to_have_text(["Bitcoin"])
    await watched.of("#watch").click()
    await expect(watched.of("#market-empty")).to_contain_text("No coin is watched")
    await watched.of("[data-view=all]").click()
    await expect(watched.of("#coins tr")).to_have_count(100)


async def test_a_watched_coin_beyond_the_list_has_its_figures(
    tmp_path: Path, look: OpenPage
) -> None:
    kept = json.dumps([{"id": "tiny-coin", "symbol": "TINY", "name": "Tiny Coin"}])
    async with open_stage(tmp_path, **WITH_BEYOND) as stage, look("about:blank") as watched:
        stage.world.limits["coingecko_free"] = 60, 60.0
        await watched.page.add_init_script(f"localStorage.setItem('watchlist', {kept!r})")
        await watched.page.goto(stage.url)
        await watched.rows()
        await watched.of("[data-view=watched]").click()
        row = watched.of("#coins tr")
        await expect(row).to_have_count(1)
        await expect(row.locator("td.price")).to_have_text("0.0421")
        await row.locator(".pick").click()
        await expect(watched.of("#selected-price")).to_have_text("0.0421")
        forgive_status(watched)


@pytest.mark.parametrize("kept", ["{", "null", '{"id":1}', '[null,1,"x",{"id":7},{"id":"solana"}]'])
async def test_a_watchlist_that_something_else_wrote_is_read_as_far_as_possible(
    stage: Stage, look: OpenPage, kept: str
) -> None:
    async with look("about:blank") as watched:
        await watched.page.add_init_script(f"localStorage.setItem('watchlist', {kept!r})")
        await watched.page.goto(stage.url)
        await watched.rows()
        await watched.of("[data-view=watched]").click()
        await expect(watched.of("#coins tr")).to_have_count(1 if "solana" in kept else 0)


async def test_without_storage_choices_last_until_the_page_is_closed(
    stage: Stage, look: OpenPage
) -> None:
    blocked = """Object.defineProperty(window, "localStorage", {
      get() { throw new DOMException("denied", "SecurityError"); } });"""
    async with look("about:blank") as watched:
        await watched.page.add_init_script(blocked)
        await watched.page.goto(stage.url)
        await watched.rows()
        await watched.of("#coins tr[data-key=solana] .star").click()
        await watched.of("#coins tr[data-key=solana] .pick").click()
        await watched.of("[data-view=watched]").click()
        await expect(watched.of("#coins .name")).to_have_text(["Solana"])
        await watched.of("#view-button").click()
        await watched.of("#theme").select_option("dark")
        await watched.of("#time-zone").select_option("local")
        background = "getComputedStyle(document.body).backgroundColor"
        assert await watched.page.evaluate(background) == "rgb(11, 14, 19)"


async def test_another_tab_gets_the_watchlist(stage: Stage, watched: Watched) -> None:
    other = await watched.page.context.new_page()
    await other.goto(stage.url)
    await expect(other.locator("#coins tr").nth(50)).to_be_attached()
    await watched.of("#coins tr[data-key=solana] .star").click()
    star = other.locator("#coins tr[data-key=solana] .star")
    await expect(star).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize(("system", "theme"), [("light", "dark"), ("dark", "light")])
async def test_a_theme_is_chosen_against_the_system_and_remembered(
    stage: Stage, look: OpenPage, system: Any, theme: str
) -> None:
    colours = {"light": "rgb(243, 245, 248)", "dark": "rgb(11, 14, 19)"}
    background = "getComputedStyle(document.body).backgroundColor"
    corner = """(wanted) => [...document.querySelectorAll("#chart canvas")].some((canvas) => {
      const [r] = canvas.getContext("2d").getImageData(canvas.width - 2, 2, 1, 1).data;
      return r === wanted; })"""
    async with look(stage.url, color_scheme=system, bypass_csp=True) as watched:
        await watched.rows()
        await watched.of("#view-button").click()
        await watched.of("#theme").select_option(theme)
        assert await watched.page.evaluate(background) == colours[theme]
        panel = {"light": 255, "dark": 19}[theme]
        await watched.page.wait_for_function(corner, arg=panel)  # the chart, too
        await watched.page.reload(wait_until="commit")
        await watched.rows()
        assert await watched.page.evaluate(background) == colours[theme]
        await watched.page.wait_for_function(corner, arg=panel)
        await watched.of("#view-button").click()
        assert await serious(watched) == []
        await watched.of("#theme").select_option("auto")
        assert await watched.page.evaluate(background) == colours[system]
        watched.errors = [error for error in watched.errors if "Canvas2D" not in error]


async def test_times_are_shown_in_the_reader_s_time_zone(stage: Stage, browser: Browser) -> None:
    async with open_page(browser, timezone_id="Asia/Kolkata") as watched:
        await watched.page.goto(stage.url)
        await watched.rows()
        utc = await watched.of("#chart-legend span").first.text_content()
        await watched.of("#view-button").click()
        await watched.of("#time-zone").select_option("local")
        legend = watched.of("#chart-legend span").first
        await expect(legend).to_contain_text("UTC+5:30")
        local = await legend.text_content()
        assert utc is not None
        assert local is not None
        minutes = [int(text[11:13]) * 60 + int(text[14:16]) for text in (utc, local)]
        assert (minutes[1] - minutes[0]) % 1_440 == 330
        await watched.page.reload()
        await expect(legend).to_contain_text("UTC+5:30")
        assert watched.errors == []
