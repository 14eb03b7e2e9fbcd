"""What the user chooses: a currency, a chain, a coin by search. Also the figures of the whole
market, and the sparklines."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Route, expect

from tests.dashboard.browser import Watched
from tests.dashboard.conftest import OpenPage
from tests.dashboard.stage import Stage, open_stage
from tests.dashboard.test_page import PHONE, serious

pytestmark = pytest.mark.asyncio(loop_scope="session")

BITCOIN = "#coins tr[data-key=bitcoin]"
#: What a gateway or a proxy may send in place of an answer, and the text that the page shows.
BAD_ANSWERS = {
    "422": (422, '{"detail":"currency: \'eur\' is not available"}', "'eur' is not available"),
    "503": (503, '{"code":"all_providers_failed","detail":"of its own"}', "no provider answered"),
    "404": (404, '{"detail":"no such path"}', "no such path"),
    "proxy": (502, "<html>bad gateway</html>", "status 502"),
    "empty": (200, '{"data":null}', "the gateway sent an incomplete answer"),
}
OF_LISTS = {**BAD_ANSWERS, "object": (200, '{"data":{"id":"bitcoin"}}', BAD_ANSWERS["empty"][2])}


def answered(status: int, body: str) -> Callable[[Route], Any]:
    return lambda route: route.fulfill(status=status, body=body, content_type="application/json")


def forgive_status(watched: Watched) -> None:
    """The browser itself reports each request that failed."""
    watched.errors = [one for one in watched.errors if "Failed to load resource" not in one]


async def test_another_currency_shows_converted_amounts_and_no_stream_data(
    stage: Stage, look: OpenPage
) -> None:
    """The stream's market is in dollars: a message of it that comes late is not shown."""
    dollars, is_late = "", False

    def late(text: str) -> str | list[str]:
        nonlocal dollars
        if '"channel":"market","type":"snapshot"' in text:
            dollars = text
        return [dollars, text] if is_late else text

    async with look("about:blank") as watched:
        await watched.rewrite(late)
        await watched.page.goto(stage.url)
        await watched.rows()
        await watched.of("#currency").select_option("EUR")
        price = watched.of(f"{BITCOIN} td.price")
        await expect(price).to_have_text("56,433.12")
        await expect(watched.of("#price-head")).to_have_text("Price, EUR")
        note = "1 USD = 0.9215 EUR by Coinbase rates"
        await expect(watched.of("#market-note")).to_contain_text(note)
        await expect(watched.of(f"{BITCOIN} td.week")).to_have_text("–")
        await expect(watched.of("#selected-symbol")).to_have_text("BTC / EUR")
        await expect(watched.of("#chart-legend")).to_contain_text("C 56,433.12")
        is_late = True
        await watched.of("#chain").select_option("base")
        await expect(watched.of("[data-category=gas] b")).to_have_text("Base node")
        assert dollars
        assert await price.text_content() == "56,433.12"
        is_late = False
        await watched.of("#currency").select_option("USD")
        await expect(price).to_have_text("61,240.5")
        await stage.move(1.01, count=1)
        await expect(price).to_have_text("61,852.91")
        await expect(watched.of("#chart-legend")).to_contain_text("C 61,240.5")
        await expect(watched.of("#market-note")).to_be_hidden()


async def test_the_currency_is_remembered(stage: Stage, watched: Watched) -> None:
    await watched.of("#currency").select_option("JPY")
    await expect(watched.of(f"{BITCOIN} td.price")).to_have_text("9,193,730")
    await watched.page.reload()
    await expect(watched.of("#currency")).to_have_value("JPY")
    await expect(watched.of(f"{BITCOIN} td.price")).to_have_text("9,193,730")
    note = "Candles in USD: venues have no books in JPY."
    await expect(watched.of("#chart-note")).to_have_text(note)
    await expect(watched.of("#chart-legend")).to_contain_text("C 61,240.5")


async def test_a_coin_without_a_book_in_the_currency_has_candles_in_dollars(
    watched: Watched,
) -> None:
    await watched.of("#currency").select_option("EUR")
    await watched.of("#coins tr[data-key=solana]").click()
    await expect(watched.of("#chart-note")).to_contain_text("Candles in USD: none in EUR (")
    await expect(watched.of("#chart-legend")).to_contain_text("C 141.72")
    await expect(watched.of("#selected-price")).to_have_text("130.59")
    forgive_status(watched)


@pytest.mark.parametrize("kind", OF_LISTS)
async def test_a_market_that_is_not_available_in_a_currency_shows_the_reason(
    watched: Watched, kind: str
) -> None:
    status, body, text = OF_LISTS[kind]
    await watched.page.route("**/api/market?limit=250*", answered(status, body))
    await watched.of("#currency").select_option("EUR")
    await expect(watched.of("#market-empty")).to_contain_text(text)
    await expect(watched.of("#market-badge")).to_have_text("Nothing to show")
    await expect(watched.of("#selected-price")).to_have_text("–")
    await watched.of("#currency").select_option("USD")
    await expect(watched.of(f"{BITCOIN} td.price")).to_have_text("61,240.5")
    forgive_status(watched)


async def test_missing_fields_and_null_figures_are_dashes(watched: Watched) -> None:
    body = {
        "data": [{"id": "bitcoin", "symbol": "BTC"}, {"symbol": "X", "price": None, "name": None}]
    }
    await watched.page.route("**/api/market?limit=250*", answered(200, json.dumps(body)))
    await watched.of("#currency").select_option("GBP")
    await expect(watched.of("#coins tr")).to_have_count(2)
    for name in ("price", "hour", "change", "week", "cap"):
        await expect(watched.of(f"{BITCOIN} td.{name}")).to_have_text("–")
    for field in ("name", "price", "price_change_percentage_1h"):
        await watched.of(f"#market th [data-field={field}]").click()
    await expect(watched.of("#coins tr")).to_have_count(2)
    forgive_status(watched)


async def test_gas_shows_the_chosen_chain_in_its_unit(stage: Stage, watched: Watched) -> None:
    await watched.of("#chain").select_option("bitcoin")
    await expect(watched.of("#gas-unit")).to_have_text("sat/vB")
    await expect(watched.of("#gas-method")).to_have_text("Estimated from waiting transactions")
    await expect(watched.of("#gas-fast")).to_have_text("2.5")
    await expect(watched.of("#gas-base_fee")).to_have_text("–")
    await watched.of("#chain").select_option("base")
    await expect(watched.of("#gas-unit")).to_have_text("gwei")
    await expect(watched.of("[data-category=gas] b")).to_have_text("Base node")


async def test_a_chain_without_an_answer_shows_the_reason(stage: Stage, watched: Watched) -> None:
    stage.world.faults = {"mempool_space": "http500", "esplora": "http500"}
    await watched.of("#chain").select_option("bitcoin")
    await expect(watched.of("#gas-method")).to_contain_text("No provider answered")
    await expect(watched.of("#gas-slow")).to_have_text("–")
    await expect(watched.of("#gas-badge")).to_have_text("Nothing to show")
    await watched.of("#chain").select_option("ethereum")
    await expect(watched.of("#gas-slow")).to_have_text("0.501")


async def test_a_coin_beyond_the_list_is_found_by_keyboard(watched: Watched) -> None:
    status, body, text = BAD_ANSWERS["503"]
    await watched.page.route("**/api/market/tiny-coin", answered(status, body))
    search = watched.of("#search")
    await search.focus()
    await watched.page.keyboard.type("tiny", delay=30)
    option = watched.of("#search-list [role=option]")
    await expect(option).to_contain_text(["Tiny Coin"])
    assert len([url for url in watched.requests if "/api/search" in url]) == 1
    await expect(watched.of("#search-count")).to_have_text("1 coin found")
    await watched.page.keyboard.press("ArrowDown")
    await expect(search).to_have_attribute("aria-activedescendant", "found-0")
    await watched.page.keyboard.press("Enter")
    await expect(watched.of("#search-box")).to_be_hidden()
    first = watched.of("#coins tr").first
    await expect(first).to_have_attribute("data-key", "tiny-coin")
    await expect(watched.of("#selected-name")).to_have_text("Tiny Coin")
    await expect(first.locator("td.price")).to_have_text("–")
    await expect(watched.of("#market-note")).to_have_text(f"No price of tiny-coin: {text}")
    forgive_status(watched)


async def test_a_coin_beyond_the_list_has_a_row(tmp_path: Path, look: OpenPage) -> None:
    async with open_stage(tmp_path, COINGECKO_FREE_LIMITS="60/minute") as stage:
        stage.world.limits["coingecko_free"] = 60, 60.0
        async with look(stage.url) as watched:
            await watched.rows()
            await watched.of("#search").fill("tiny")
            await watched.of("#search-list [role=option]").first.click()
            first = watched.of("#coins tr").first
            await expect(first).to_have_attribute("data-key", "tiny-coin")
            await expect(first.locator(".rank")).to_have_text("812")
            await expect(first.locator("td.price")).to_have_text("0.0421")
            await expect(watched.of("#selected-price")).to_have_text("0.0421")
            await watched.of("#search").fill("tiny")  # again: it is still none of the list
            await watched.of("#search-list [role=option]").first.click()
            await watched.of("#currency").select_option("EUR")
            await expect(first.locator("td.price")).to_have_text("0.0388")
            forgive_status(watched)  # no provider has candles of it


async def test_a_found_coin_of_the_list_is_shown_whatever_its_rank(watched: Watched) -> None:
    await watched.of("#market-filter").fill("sol")
    await watched.of("#search").fill("token-140")
    await watched.of("#search-list [role=option]").first.click()
    first = watched.of("#coins tr").first
    await expect(first).to_have_attribute("data-key", "token-140")
    await expect(first.locator(".rank")).to_have_text("180")
    await expect(first.locator(".pick")).to_have_attribute("aria-pressed", "true")
    await expect(watched.of("#coins tr")).to_have_count(101)


@pytest.mark.parametrize("kind", OF_LISTS)
async def test_a_search_that_fails_says_why(watched: Watched, kind: str) -> None:
    status, body, text = OF_LISTS[kind]
    await watched.page.route("**/api/search*", answered(status, body))
    await watched.of("#search").fill("x")
    await expect(watched.of("#search-message")).to_contain_text("Search failed: ")
    await expect(watched.of("#search-message")).to_contain_text(text)
    await watched.page.keyboard.press("Escape")
    await expect(watched.of("#search-box")).to_be_hidden()
    forgive_status(watched)


async def test_a_search_without_a_result_says_so(watched: Watched) -> None:
    await watched.of("#search").fill("no coin of this kind")
    await expect(watched.of("#search-message")).to_have_text("No coin has this name.")


async def test_the_whole_market_shows_its_figures(watched: Watched) -> None:
    await expect(watched.of("#global-cap")).to_have_text("2.5T USD")
    await expect(watched.of("#global-change")).to_have_text("+1.25 %")
    await expect(watched.of("#global-btc")).to_have_text("55.5 %")
    await watched.of("#currency").select_option("EUR")
    await expect(watched.of("#global-cap")).to_have_text("2.3T EUR")


@pytest.mark.parametrize("kind", [*BAD_ANSWERS, "nulls"])
async def test_without_figures_the_whole_market_says_why(
    stage: Stage, look: OpenPage, kind: str
) -> None:
    status, body, text = BAD_ANSWERS.get(kind, (200, '{"data":{"market_cap":null}}', ""))
    async with look("about:blank") as watched:
        await watched.page.route("**/api/global", answered(status, body))
        await watched.page.route("**sparkline=true", answered(status, body))
        await watched.page.goto(stage.url)
        await watched.rows()
        if kind == "nulls":
            await expect(watched.of("#global-cap")).to_have_text("–")
            await expect(watched.of("#global-volume")).to_have_text("–")
        else:
            await expect(watched.of("#global-why")).to_contain_text(text)
            await expect(watched.of("#global-figures")).to_be_hidden()
        await expect(watched.of("#coins path[d^=M]")).to_have_count(0)
        forgive_status(watched)


async def test_sparklines_are_read_once_for_the_rows_in_view(
    stage: Stage, watched: Watched
) -> None:
    def asked() -> list[str]:
        return [url.partition("?")[2] for url in watched.requests if "sparkline=true" in url]

    await expect(watched.of("#coins path[d^=M]")).to_have_count(50)
    await stage.move(1.01)
    await watched.page.wait_for_timeout(1_500)
    assert asked() == ["limit=50&offset=0&sparkline=true"]
    await watched.of("#market-filter").fill("token 140")
    await expect(watched.of("#coins path[d^=M]")).to_have_count(1)
    assert asked()[1:] == ["limit=50&offset=150&sparkline=true"]


async def test_a_price_that_does_not_move_is_a_line_in_the_middle(
    stage: Stage, look: OpenPage
) -> None:
    async with look("about:blank") as watched:
        row = {"id": "tether", "symbol": "USDT", "market_cap_rank": 3, "sparkline_7d": [1.0] * 168}
        body = json.dumps({"data": [row], "meta": {}})
        await watched.page.route("**/api/market?*sparkline=true", answered(200, body))
        await watched.page.goto(stage.url)
        line = watched.of("#coins tr[data-key=tether] path")
        await expect(line).to_have_attribute("d", re.compile(r"^M0\.0 12\.0L.* 12\.0$"))


async def test_a_phone_does_not_read_sparklines(stage: Stage, look: OpenPage) -> None:
    async with look(stage.url, **PHONE) as watched:
        await watched.rows()
        await watched.of(BITCOIN).scroll_into_view_if_needed()
        await watched.page.wait_for_timeout(500)
        assert [url for url in watched.requests if "sparkline=true" in url] == []


@pytest.mark.parametrize(
    "options",
    [{"color_scheme": "light"}, {"color_scheme": "dark", **PHONE}],
    ids=["light", "dark phone"],
)
async def test_axe_finds_nothing_serious_with_other_choices(
    stage: Stage, look: OpenPage, options: dict[str, Any]
) -> None:
    async with look(stage.url, bypass_csp=True, **options) as watched:
        await watched.rows()
        await watched.of("#currency").select_option("JPY")
        await watched.of("#chain").select_option("bitcoin")
        await expect(watched.of("#chart-note")).not_to_be_empty()
        await expect(watched.of(f"{BITCOIN} td.price")).to_have_text("9,193,730")
        await watched.of("#search").fill("coin")
        await expect(watched.of("#search-list [role=option]").first).to_be_visible()
        await watched.page.keyboard.press("ArrowDown")
        assert await serious(watched) == []
        excess = "document.documentElement.scrollWidth - innerWidth"
        assert await watched.page.evaluate(excess) <= 0
