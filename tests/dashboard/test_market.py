"""The market table: rows that appear and move, sorting, filtering, choosing."""

import re

import pytest
from playwright.async_api import expect

from tests.dashboard.browser import Watched
from tests.dashboard.conftest import OpenPage
from tests.dashboard.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

BITCOIN = "#coins tr[data-key=bitcoin]"


async def test_a_hundred_rows_appear_best_rank_first(watched: Watched) -> None:
    ranks = await watched.of("#coins td.rank").all_text_contents()
    assert ranks == [str(rank) for rank in range(1, 101)]


async def test_a_tick_changes_its_row_and_flashes_it(stage: Stage, watched: Watched) -> None:
    price = watched.of(f"{BITCOIN} td.price")
    await expect(price).to_have_text("61,240.5")
    node = await price.element_handle()
    await watched.page.evaluate(
        "() => { window.flashes = 0; const animate = Element.prototype.animate;"
        "Element.prototype.animate = function (...all) { window.flashes++;"
        " return animate.apply(this, all); }; }"
    )
    await stage.move(1.01, count=1)
    await expect(price).to_have_text("61,852.91")
    assert await watched.page.evaluate("window.flashes") == 1
    assert await node.evaluate("node => node.isConnected"), "the row was made anew"


async def test_no_row_flashes_with_reduced_motion(stage: Stage, look: OpenPage) -> None:
    async with look(stage.url, reduced_motion="reduce") as watched:
        await watched.rows()
        await stage.move(1.01, count=1)
        await expect(watched.of(f"{BITCOIN} td.price")).to_have_text("61,852.91")
        running = "document.getAnimations().filter(a => a.effect.target.closest('#coins')).length"
        assert await watched.page.evaluate(running) == 0


async def test_unknown_is_a_dash_and_large_numbers_are_readable(watched: Watched) -> None:
    await expect(watched.of("#coins tr[data-key=dogecoin] td.cap")).to_have_text("–")
    cap = watched.of(f"{BITCOIN} td.cap")
    await expect(cap).to_have_text("1.2T")
    await expect(cap).to_have_attribute("data-tip", "1,200,000,000,000 USD")


async def test_a_row_shows_its_values_and_their_provider(stage: Stage, look: OpenPage) -> None:
    def changed(text: str) -> str:
        text = re.sub(r'("id":"litecoin"[^{}]*?"price":)[0-9.]+', r"\1null", text)
        return re.sub(r'("id":"ethereum"[^{}]*?"source":)"\w+"', r'\1"binance"', text)

    async with look("about:blank") as watched:
        await watched.rewrite(changed)
        await watched.page.goto(stage.url)
        await watched.rows()
        await expect(watched.of("#coins tr[data-key=litecoin] td.price")).to_have_text("–")
        row = watched.of("#coins tr[data-key=ethereum]")
        await row.hover()
        await expect(row.locator(".pick")).to_have_attribute(
            "data-tip", re.compile(r"^Ethereum: [\d,.]+ USD by Binance \(binance\), ")
        )


async def test_a_header_sorts_in_both_directions_with_unknown_last(watched: Watched) -> None:
    header = watched.of("th.cap")
    await header.get_by_role("button").click()
    await expect(header).to_have_attribute("aria-sort", "descending")
    await expect(watched.of("th.rank")).to_have_attribute("aria-sort", "none")
    await expect(watched.of("#coins tr").first).to_have_attribute("data-key", "bitcoin")
    await header.get_by_role("button").click()
    await expect(header).to_have_attribute("aria-sort", "ascending")
    await expect(watched.of("#coins tr").first).to_have_attribute("data-key", "token-210")
    await watched.of("#market-filter").fill("do")
    await expect(watched.of("#coins tr").last).to_have_attribute("data-key", "dogecoin")


async def test_rows_change_places_when_their_values_do(stage: Stage, watched: Watched) -> None:
    await watched.of("th.price button").click()
    await expect(watched.of("#coins tr").nth(6)).to_have_attribute("data-key", "aave")
    await stage.move(1.5, only="solana")  # from 141.72 past Aave's 188.30
    await expect(watched.of("#coins tr").nth(6)).to_have_attribute("data-key", "solana")
    await expect(watched.of("#coins tr").nth(7)).to_have_attribute("data-key", "aave")


async def test_typing_filters_by_name_and_symbol(watched: Watched) -> None:
    await watched.of("#market-filter").press_sequentially("ethereum")
    names = watched.of("#coins .name")
    await expect(names).to_have_text(["Ethereum", "Ethereum Classic"])
    await expect(watched.of("#market-count")).to_have_text("2 of 250 match")
    await watched.of("#market-filter").fill("no such coin")
    await expect(watched.of("#market-empty")).to_have_text("No coin matches.")


async def test_hovering_over_a_row_shows_its_source(stage: Stage, watched: Watched) -> None:
    row = watched.of(BITCOIN)
    await row.hover()
    tip = re.compile(r"^Bitcoin: 61,240\.5 USD by CoinGecko \(coingecko_free\), ")
    await expect(row.locator(".pick")).to_have_attribute("data-tip", tip)


async def test_rows_are_selected_by_keyboard(watched: Watched) -> None:
    page = watched.page
    await watched.of("th.cap button").focus()
    await page.keyboard.press("Tab")
    await expect(watched.of(f"{BITCOIN} .pick")).to_be_focused()
    for key in ("ArrowDown", "End", "Home", "ArrowDown"):
        await page.keyboard.press(key)
    ethereum = watched.of("#coins tr[data-key=ethereum] .pick")
    await expect(ethereum).to_be_focused()
    outline = await ethereum.evaluate("node => getComputedStyle(node).outlineStyle")
    assert outline == "solid"
    await page.keyboard.press("Enter")
    await expect(ethereum).to_have_attribute("aria-pressed", "true")
    await expect(watched.of("#selected-name")).to_have_text("Ethereum")


async def test_a_focused_row_keeps_the_focus_while_rows_change_places(
    stage: Stage, watched: Watched
) -> None:
    await watched.of("th.price button").click()
    await expect(watched.of("#coins tr").nth(6)).to_have_attribute("data-key", "aave")
    aave = watched.of("#coins tr[data-key=aave] .pick")
    await aave.focus()
    await stage.move(0.55, only="aave")
    await expect(watched.of("#coins tr").nth(6)).to_have_attribute("data-key", "solana")
    await expect(aave).to_be_focused()


async def test_a_coin_that_gets_its_id_later_stays_selected(stage: Stage, look: OpenPage) -> None:
    """Rows of a provider without ids come first where the list of coins is late."""
    seen = 0

    def without_ids(text: str) -> str:
        nonlocal seen
        if '"channel":"market","type":"snapshot"' not in text:
            return text
        seen += 1
        return re.sub(r'"id":"[a-z0-9-]+"', '"id":null', text) if seen == 1 else text

    async with look("about:blank") as watched:
        await watched.rewrite(without_ids)
        await watched.page.goto(stage.url)
        await expect(watched.of("#coins tr[data-key=BTC]")).to_be_attached()
        await expect(watched.of("#chart-legend")).to_contain_text("UTC")
        await watched.of("#currency").select_option("EUR")
        await watched.of("#currency").select_option("USD")
        await expect(watched.of(f"{BITCOIN} .pick")).to_have_attribute("aria-pressed", "true")
        await stage.move(1.01, count=1)
        await expect(watched.of("#selected-price")).to_have_text("61,852.91")
        await expect(watched.of("#chart-legend")).to_contain_text("UTC")
