"""What the page shows when something is wrong: too old, missing, locked out, lost."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from tests.dashboard.browser import Watched
from tests.dashboard.conftest import OpenPage
from tests.dashboard.situations import QUICK, use_up_limits
from tests.dashboard.stage import Stage, open_stage
from tests.dashboard.test_page import WITHOUT_TICKS, serious

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: All that the gateway may ask, and none of it answers.
OUTAGE = dict.fromkeys(
    (
        "coingecko_free",
        "binance",
        "binance_second",
        "alternative_me",
        "ethereum_rpc",
        "ethereum_rpc_second",
    ),
    "http500",
)
GAS_OUTAGE = {"ethereum_rpc": "http500", "ethereum_rpc_second": "http500"}


async def rest_status(stage: Stage, path: str) -> int:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{stage.url}{path}")).status_code


async def test_fees_that_are_too_old_are_blanked_and_come_back(
    tmp_path: Path, look: OpenPage
) -> None:
    settings = {"CACHE_TTL_GAS": "0.3", "MAX_STALE_GAS": "2", **QUICK}
    async with open_stage(tmp_path, **settings) as stage, look(stage.url) as watched:
        await watched.rows()
        slow, badge = watched.of("#gas-slow"), watched.of("#gas-badge")
        await expect(slow).to_have_text("0.501")
        stage.world.faults = dict(GAS_OUTAGE)
        await expect(slow).to_have_text("–")
        assert await rest_status(stage, "api/gas") == 503
        await expect(badge).to_have_text(re.compile(r"^Too old · since \d\d:\d\d:\d\d UTC$"))
        await expect(badge).to_have_attribute("data-kind", "bad")
        why = re.compile(r"^No current figures since \d\d:\d\d:\d\d UTC: no provider answered")
        await expect(watched.of("#gas-method")).to_have_text(why)
        banner = watched.of("#banner")
        await expect(banner).to_contain_text("No current gas fees.")
        await expect(banner).to_contain_text(re.compile(r"Since \d\d:\d\d:\d\d UTC \(\d+ s\)"))
        await expect(banner).to_contain_text("Up to date: prices, candles, news, Fear & Greed.")
        await expect(watched.of("[data-category=gas]")).to_have_attribute("data-kind", "bad")
        stage.world.faults = {}
        await expect(slow).to_have_text("0.501")
        await expect(banner).to_be_hidden()
        await expect(badge).to_contain_text("Fresh")


async def test_prices_that_are_too_old_are_blanked_in_every_place(
    tmp_path: Path, look: OpenPage
) -> None:
    settings = {"CACHE_TTL_MARKET": "0.4", "MAX_STALE_MARKET": "3", **WITHOUT_TICKS, **QUICK}
    async with open_stage(tmp_path, **settings) as stage, look(stage.url) as watched:
        stage.world.limits["coingecko_free"] = 60, 60.0
        await watched.rows_only()
        price = watched.of("#coins tr[data-key=bitcoin] td.price")
        await expect(watched.of("#selected-price")).to_have_text("61,240.5")
        stage.world.faults = dict(OUTAGE)
        await expect(price).to_have_text("–")
        await expect(watched.of("#coins tr[data-key=bitcoin] .name")).to_have_text("Bitcoin")
        figures = watched.page.locator("#coins td.price", has_text=re.compile(r"\d"))
        await expect(figures).to_have_count(0)
        await expect(watched.of("#selected-price")).to_have_text("–")
        await expect(watched.of("#detail-cap")).to_have_text("–")
        await expect(watched.page).to_have_title(re.compile("^BTC · "))
        await expect(watched.of("#market-note")).to_contain_text("No current figures since")
        await expect(watched.of("#banner-what")).to_contain_text("prices")
        stage.world.faults = {}
        await expect(price).to_have_text("61,240.5")
        await expect(watched.of("#selected-price")).to_have_text("61,240.5")
        await expect(watched.of("#market-note")).to_be_hidden()


async def test_without_a_connection_the_page_itself_blanks_what_is_too_old(
    tmp_path: Path, look: OpenPage
) -> None:
    async with (
        open_stage(tmp_path, MAX_STALE_GAS="20") as stage,
        look("about:blank") as watched,
    ):
        await watched.page.clock.install()
        await watched.page.goto(stage.url)
        await watched.rows()
        await expect(watched.of("#gas-slow")).to_have_text("0.501")
        await expect(watched.of("#version")).to_contain_text("All systems operational")
        await stage.stop()
        await expect(watched.of("#banner-what")).to_have_text(
            "The connection to the gateway is lost."
        )
        await expect(watched.of("#banner-since")).to_contain_text("the gateway stopped")
        await watched.page.clock.fast_forward(12_000)
        await watched.page.clock.fast_forward(12_000)
        await expect(watched.of("#gas-slow")).to_have_text("–")
        await expect(watched.of("#sentiment-value")).to_have_text("46")
        await stage.start()
        watched.forgive_loss()


async def test_figures_of_the_whole_market_are_blanked_after_six_hours_without_a_connection(
    stage: Stage, look: OpenPage
) -> None:
    async with look("about:blank") as watched:
        await watched.page.clock.install()
        await watched.page.goto(stage.url)
        await watched.rows()
        await expect(watched.of("#global-cap")).to_have_text("2.5T USD")
        await stage.stop()
        await expect(watched.of("#banner-what")).to_contain_text("is lost")
        await watched.page.clock.fast_forward(5 * 3_600_000)
        await expect(watched.of("#global-cap")).to_be_visible()
        await watched.page.clock.fast_forward(2 * 3_600_000)
        await watched.page.clock.fast_forward(2_000)
        await expect(watched.of("#global-why")).to_contain_text("the last figures are too old")
        await expect(watched.of("#global-cap")).to_be_hidden()
        await expect(watched.of("#coins tr[data-key=bitcoin] td.price")).to_have_text("–")
        await stage.start()
        watched.forgive_loss()


async def test_with_no_provider_at_all_each_panel_says_why(tmp_path: Path, look: OpenPage) -> None:
    async with open_stage(tmp_path, **QUICK) as stage:
        every = [name for name in stage.world.limits if name not in OUTAGE]
        stage.world.faults = OUTAGE | dict.fromkeys(every, "http500")
        async with look(stage.url, bypass_csp=True) as watched:
            why = "no provider answered"
            await expect(watched.of("#market-empty")).to_contain_text(why)
            await expect(watched.of("#chart-error")).to_contain_text("No coins are known")
            await expect(watched.of("#news-empty")).to_contain_text(why)
            await expect(watched.of("#sentiment-range")).to_contain_text("No provider answered")
            await expect(watched.of("#gas-method")).to_contain_text("No provider answered")
            await expect(watched.of("#banner-what")).to_contain_text("No current prices")
            await expect(watched.of("#version")).to_contain_text("No answers yet")
            await expect(watched.of(".card [data-kind=live]")).to_have_count(0)
            await expect(watched.of(".strip [data-kind=live]")).to_have_count(0)
            assert await serious(watched) == []
            watched.errors = [error for error in watched.errors if "503" not in error]


async def test_nothing_is_green_before_somebody_has_answered(
    tmp_path: Path, look: OpenPage
) -> None:
    async with open_stage(tmp_path, PROVIDER_TIMEOUT="60", REQUEST_DEADLINE="60") as stage:
        stage.world.faults = dict.fromkeys(stage.world.limits, "silence")
        async with look(stage.url) as watched:
            await expect(watched.of("[data-provider=frankfurter] .badge")).to_have_text("Ready")
            await expect(watched.of(".card [data-kind=live]")).to_have_count(0)
            await expect(watched.of(".strip [data-kind=live]")).to_have_count(0)
            stage.world.faults = {}


async def test_calls_are_counted_beside_the_first_prices(stage: Stage, look: OpenPage) -> None:
    async with look(stage.url) as watched:
        await watched.rows()
        calls = watched.of("[data-provider=coingecko_free] dd").last
        await expect(calls).not_to_have_text("0", timeout=2_000)
        live = watched.of("[data-provider=coingecko_free] .badge")
        await expect(live).to_have_text("Live", timeout=2_000)


async def test_an_exhausted_client_limit_is_told_with_the_seconds_left(
    tmp_path: Path, look: OpenPage
) -> None:
    async with (
        open_stage(tmp_path, CLIENT_RATE_LIMIT="400/minute") as stage,
        look(stage.url, bypass_csp=True) as watched,
    ):
        await watched.rows()
        await use_up_limits(stage)
        await watched.of("#search").fill("tiny")
        banner = watched.of("#banner")
        await expect(banner).to_contain_text("Your request limit is used up.")
        await expect(banner).to_contain_text(re.compile(r"again in \d+ s"))
        await expect(banner).to_contain_text("Prices that are pushed go on")
        assert await serious(watched) == []
        await stage.move(1.01, count=1)
        price = watched.of("#coins tr[data-key=bitcoin] td.price")
        await expect(price).to_have_text("61,852.91")
        watched.errors = [error for error in watched.errors if "429" not in error]


async def test_a_stream_that_is_refused_by_the_limit_says_so(
    tmp_path: Path, look: OpenPage
) -> None:
    async with (
        open_stage(tmp_path, CLIENT_RATE_LIMIT="60/minute") as stage,
        look("about:blank") as watched,
    ):
        await watched.page.route("**/ws*", lambda route: route.abort())
        await watched.page.goto(stage.url)
        await use_up_limits(stage)
        await expect(watched.of("#banner")).to_contain_text("Your request limit is used up.")
        usual = ("429", "/ws'")
        watched.errors = [one for one in watched.errors if not any(text in one for text in usual)]


async def test_a_warning_is_shown_by_focus_pointer_and_touch(stage: Stage, look: OpenPage) -> None:
    def warned(text: str) -> str:
        if '"channel":"gas"' not in text:
            return text
        return text.replace('"warnings":[]', '"warnings":["block 7 left out","<b>old</b>"]')

    async with look("about:blank", bypass_csp=True, has_touch=True) as watched:
        await watched.rewrite(warned)
        await watched.page.goto(stage.url)
        await watched.rows()
        mark, text = watched.page.get_by_role("button", name="2 notes on Gas"), "block 7 left out"
        shown = watched.of("#gas-warnings")
        await expect(watched.of("#news .warnings-mark")).to_be_hidden()
        await expect(shown).to_be_hidden()
        await mark.hover()
        await expect(shown).to_contain_text(text)
        await expect(shown).to_contain_text("<b>old</b>")
        await watched.page.mouse.move(2, 2)
        await expect(shown).to_be_hidden()
        await mark.tap()
        await expect(shown).to_be_visible()
        await expect(mark).to_have_attribute("aria-expanded", "true")
        assert await serious(watched) == []
        await watched.page.keyboard.press("Escape")
        await expect(shown).to_be_hidden()
        await expect(mark).to_have_attribute("aria-expanded", "false")
        await watched.of("#chain").focus()
        await watched.page.keyboard.press("Shift+Tab")
        await watched.page.keyboard.press("Shift+Tab")
        await expect(mark).to_be_focused()
        await expect(shown).to_be_visible()


async def test_an_interval_that_nobody_serves_is_greyed_out(tmp_path: Path, look: OpenPage) -> None:
    async with (
        open_stage(tmp_path, COINGECKO_FREE_LIMITS="60/minute") as stage,
        look(stage.url) as watched,
    ):
        stage.world.limits["coingecko_free"] = 60, 60.0
        await watched.rows()
        await find_tiny_coin(watched)
        await assert_minutes_are_greyed_out(watched)
        watched.errors = [error for error in watched.errors if "422" not in error]


async def find_tiny_coin(watched: Watched) -> None:
    """Only CoinGecko has candles of this coin, and none of a minute."""
    await watched.of("#search").fill("Tiny")
    await watched.of("#search-list li").first.click()
    await expect(watched.of("#selected-symbol")).to_have_text("TINY / USD")


async def assert_minutes_are_greyed_out(watched: Watched) -> None:
    await expect(watched.of("#chart-legend")).to_contain_text("UTC")
    minute = watched.of("#intervals button").first
    await minute.click()
    error = watched.of("#chart-error")
    await expect(error).to_have_text(re.compile("^No provider has 1m candles of TINY; available: "))
    await expect(watched.of("#chart")).to_be_hidden()
    await expect(minute).to_have_attribute("aria-disabled", "true")
    hours = watched.page.locator("#intervals button", has_text="4h")
    await expect(hours).to_have_attribute("aria-disabled", "false")
    await hours.click()
    await expect(watched.of("#chart-legend")).to_contain_text("UTC")
    await expect(watched.of("#chart")).to_be_visible()
    await minute.focus()
    await watched.page.keyboard.press("Shift+Tab")
    await watched.page.keyboard.press("Tab")
    await expect(watched.of("#tip")).to_have_text("No provider has candles of 1m for TINY")
    await expect(minute).to_have_attribute("aria-describedby", "tip")
    await watched.page.keyboard.press("Enter")
    await expect(hours).to_have_attribute("aria-pressed", "true")
    await watched.of("#coins tr[data-key=ethereum]").click()
    await expect(minute).to_have_attribute("aria-disabled", "false")


async def test_no_axis_of_the_coin_before_is_shown_while_candles_load(
    stage: Stage, watched: Watched
) -> None:
    stage.world.faults = {"binance": "silence", "coingecko_free": "silence"}
    await watched.of("#coins tr[data-key=chainlink]").click()
    await expect(watched.of("#chart-error")).to_have_text("Waiting for candles …")
    await expect(watched.of("#chart")).to_be_hidden()
    stage.world.faults = {}
