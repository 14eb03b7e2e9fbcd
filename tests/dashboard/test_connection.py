"""The socket that is lost and comes back, the hidden tab, the key."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.dashboard.browser import Watched
from tests.dashboard.conftest import OpenPage
from tests.dashboard.scenery import moving_tickers
from tests.dashboard.stage import Stage, open_stage
from tests.dashboard.test_page import WITHOUT_TICKS

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Playwright's pages are always seen; this is what a page learns of being hidden.
HIDE = """(state) => {
  Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
KEY = "gw-0123456789abcdef"
BITCOIN = "#coins tr[data-key=bitcoin] td.price"


async def test_a_lost_connection_is_shown_and_reopened(stage: Stage, look: OpenPage) -> None:
    async with look(stage.url) as watched:
        await watched.rows()
        text = watched.of("#connection-text")
        await stage.stop()
        await expect(text).to_contain_text("Connection lost · next try in")
        await expect(watched.of("#market-badge")).to_contain_text("Not updating · ")
        await expect(watched.of("#status-badge")).to_contain_text("Not updating · ")
        strip = watched.of("[data-category=market]")
        await expect(strip).to_have_attribute("data-kind", "bad")
        await expect(strip).to_contain_text("not updating · ")
        await expect(watched.of("#announcer")).to_contain_text("connection to the gateway")
        await expect(watched.of("#coins tr")).to_have_count(100)
        await stage.start()
        await expect(text).to_have_text("Connected", timeout=15_000)
        await expect(watched.of("#market-badge")).not_to_contain_text("Not updating")
        await expect(watched.of("#status-badge")).to_have_attribute("data-kind", "live")
        await expect(strip).to_have_attribute("data-kind", "live")
        await stage.move(1.01, count=1)
        await expect(watched.of(BITCOIN)).to_have_text("61,852.91")
        watched.forgive_loss()


async def test_the_retry_button_reconnects_at_once(stage: Stage, look: OpenPage) -> None:
    async with look(stage.url) as watched:
        await watched.rows()
        # Pauses of an hour: only the button can be it.
        await watched.page.evaluate("Math.random = () => 3600")
        await stage.stop()
        await expect(watched.of("#connection-text")).to_contain_text("next try in 36")
        await stage.start()
        await watched.of("#retry").click()
        await expect(watched.of("#connection-text")).to_have_text("Connected")


async def test_a_hidden_tab_pauses_and_resumes_with_new_data(
    stage: Stage, watched: Watched
) -> None:
    assert stage.readers == 1
    await watched.page.evaluate(HIDE, "hidden")
    await expect(watched.of("#connection-text")).to_have_text("Paused while hidden")
    await stage.until(lambda: stage.readers == 0)
    # Without `move`: without a reader the gateway may have left Binance's stream already.
    await stage.push.tell_tickers(moving_tickers(1, 1.01, None))
    await expect(watched.of(BITCOIN)).to_have_text("61,240.5")
    await watched.page.evaluate(HIDE, "visible")
    await expect(watched.of("#connection-text")).to_have_text("Connected")
    await stage.move(1.02, count=1)
    await expect(watched.of(BITCOIN)).to_have_text("62,465.31")
    await stage.until(lambda: stage.readers == 1)


async def test_stale_data_show_their_age_and_the_reason(tmp_path: Path, look: OpenPage) -> None:
    async with (
        open_stage(tmp_path, CACHE_TTL_MARKET="0.4", **WITHOUT_TICKS) as stage,
        look(stage.url) as watched,
    ):
        stage.world.limits["coingecko_free"] = 60, 60.0
        await watched.rows_only()
        badge = watched.of("#market-badge")
        colour = "getComputedStyle(document.getElementById('market-badge')).color"
        await expect(badge).not_to_have_attribute("data-kind", "wait")
        fresh = await watched.page.evaluate(colour)
        stage.world.faults = {"coingecko_free": "http500"}
        await expect(badge).to_contain_text("Stale · ")
        await expect(badge).to_contain_text(" old · the provider failed")
        await expect(badge).to_have_attribute("data-kind", "stale")
        assert await watched.page.evaluate(colour) != fresh
        await expect(watched.of("#announcer")).to_contain_text("Market: Stale")


async def test_a_gateway_with_keys_asks_for_one_and_uses_it(tmp_path: Path, look: OpenPage) -> None:
    async with open_stage(tmp_path, GATEWAY_API_KEYS=KEY) as stage, look(stage.url) as watched:
        field = watched.page.get_by_label("Gateway key")
        await expect(field).to_be_focused()
        await expect(watched.of("#connection-text")).to_have_text("A key is required")
        await expect(watched.of("#market-empty")).to_have_text("No prices: a key is required")
        await expect(watched.of("#chart-error")).to_have_text("A key is required")
        await field.fill("wrong")
        await field.press("Enter")
        await expect(watched.of("#key-why")).to_have_text("The key was refused.")
        await field.fill(KEY)
        await field.press("Enter")
        await watched.rows()
        await expect(watched.of("#sentiment-range")).to_contain_text("29 days, from")
        await expect(watched.of("#key-form")).to_be_hidden()
        stored = "[localStorage.length, sessionStorage.length, document.cookie]"
        assert await watched.page.evaluate(stored) == [0, 0, ""]
        assert not any(KEY in url for url in watched.requests)


async def test_a_missed_update_is_replaced_by_a_snapshot(stage: Stage, look: OpenPage) -> None:
    snapshots = 0

    def lose_one(text: str) -> str | list[str]:
        nonlocal snapshots
        snapshots += '"channel":"market","type":"snapshot"' in text
        return [] if '"price":62000.0,' in text else text

    async with look("about:blank") as watched:
        await watched.rewrite(lose_one)
        await watched.page.goto(stage.url)
        await watched.rows()
        sent = stage.frames_sent
        await stage.move(62_000 / 61_240.5, count=1)
        await stage.until(lambda: stage.frames_sent > sent)
        await stage.move(1.04, count=1)
        await expect(watched.of(BITCOIN)).to_have_text("63,690.12")
        assert snapshots == 2
