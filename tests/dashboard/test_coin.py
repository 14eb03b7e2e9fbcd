"""The selected coin: its figures, the tab's title, the chart's scale and full screen, and on a
phone the way to it. Also more rows, the addresses for programs, and what "Copy as curl" copies."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.dashboard import scenery
from tests.dashboard.browser import Watched
from tests.dashboard.conftest import OpenPage
from tests.dashboard.stage import Stage, open_stage
from tests.dashboard.test_connection import HIDE
from tests.dashboard.test_page import PHONE, WITHOUT_TICKS, serious

#: Way of a finger between two events, in px.
STEP = 10
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_selected_coin_has_its_figures(stage: Stage, watched: Watched) -> None:
    await expect(watched.of("#detail-range")).to_contain_text("58,790.88 – ")
    await expect(watched.of("#detail-cap")).to_have_text("1.2T USD")
    await expect(watched.of("#detail-supply")).to_have_text("19.59M BTC")
    await expect(watched.of("#detail-source")).to_have_text("CoinGecko")
    await expect(watched.of("#detail-age")).to_have_text(re.compile(r"^\d+ s ago$"))
    await watched.of("#currency").select_option("EUR")
    await expect(watched.of("#detail-cap")).to_have_text("1.11T EUR")
    await watched.of("#coins tr[data-key=dogecoin] .pick").click()
    await expect(watched.of("#detail-cap")).to_have_text("–")
    await expect(watched.of("#detail-supply")).to_have_text("–")
    watched.errors = [error for error in watched.errors if "Failed to load" not in error]


NAME = "Unified Crypto Data Platform"


async def test_the_tab_s_title_has_the_price_as_it_is_pushed(
    stage: Stage, watched: Watched
) -> None:
    await expect(watched.page).to_have_title(f"BTC 61,240.5 USD · {NAME}")
    await stage.move(1.01, count=1)
    await expect(watched.page).to_have_title(f"BTC 61,852.91 USD · {NAME}")
    await stage.stop()
    await expect(watched.page).to_have_title(f"BTC · {NAME}")
    await stage.start()
    watched.forgive_loss()


async def test_a_hidden_tab_s_title_has_the_price_of_each_minute(
    tmp_path: Path, look: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"CACHE_TTL_MARKET": "0.5", **WITHOUT_TICKS}
    async with open_stage(tmp_path, **settings) as stage, look("about:blank") as watched:
        stage.world.limits["coingecko_free"] = 60, 60.0
        await watched.page.clock.install()
        await watched.page.goto(stage.url)
        await watched.rows_only()
        await expect(watched.page).to_have_title(f"BTC 61,240.5 USD · {NAME}")
        await watched.page.evaluate(HIDE, "hidden")
        await stage.until(lambda: stage.readers == 0)
        first = "bitcoin", "btc", "Bitcoin", 70_000.25
        monkeypatch.setattr(scenery, "COINS", [first, *scenery.COINS[1:]])
        watched.requests.clear()
        await until_titled(watched, f"BTC 70,000.25 USD · {NAME}")
        paths = {url.removeprefix(stage.url) for url in watched.requests}
        assert paths == {"api/market/bitcoin"}
        stage.world.faults = dict.fromkeys(stage.world.limits, "http500")
        await until_titled(watched, f"BTC · {NAME}")


async def until_titled(watched: Watched, title: str) -> None:
    """Within three minutes of the page's clock."""
    for _ in range(3):
        await watched.page.clock.fast_forward(61_000)
        await asyncio.sleep(1)
        if await watched.page.title() == title:
            return
    assert await watched.page.title() == title


async def test_the_scale_is_logarithmic_on_request_and_remembered(watched: Watched) -> None:
    pixels = """() => [...document.querySelectorAll("#chart canvas")].filter((one) => one.width)
      .map((one) => one.getContext("2d").getImageData(0, 0, one.width, one.height).data.join())
      .join()"""
    await watched.page.wait_for_timeout(500)
    linear = await watched.page.evaluate(pixels)
    await watched.of("#log-scale").click()
    await watched.page.wait_for_function(f"(before) => ({pixels})() !== before", arg=linear)
    await watched.page.reload()
    await expect(watched.of("#log-scale")).to_have_attribute("aria-pressed", "true")
    watched.errors = [error for error in watched.errors if "Canvas2D" not in error]


@pytest.mark.parametrize("is_refused", [False, True], ids=["screen", "window only"])
async def test_the_chart_fills_the_window_until_escape(watched: Watched, is_refused: bool) -> None:
    if is_refused:
        refuse = "() => { Element.prototype.requestFullscreen = () => Promise.reject(); }"
        await watched.page.evaluate(refuse)
    before = await watched.of("#chart").bounding_box()
    await watched.of("#full-screen").click()
    await expect(watched.of("#full-screen")).to_have_attribute("aria-pressed", "true")
    after = await watched.of("#candles").bounding_box()
    size = await watched.page.evaluate("[innerWidth, innerHeight]")
    assert before is not None
    assert after is not None
    assert [after["width"], after["height"]] == size
    await watched.page.wait_for_function(
        "(height) => document.querySelector('#chart canvas').clientHeight > height",
        arg=before["height"],
    )
    if is_refused:
        await watched.page.keyboard.press("Escape")
    else:
        await watched.of("#full-screen").click()
    await expect(watched.of("#full-screen")).to_have_attribute("aria-pressed", "false")
    back = await watched.of("#candles").bounding_box()
    assert back is not None
    assert back["width"] < size[0]


async def test_coins_beyond_the_first_hundred_are_shown_on_request(watched: Watched) -> None:
    more = watched.of("#market-more")
    await expect(more).to_have_text("Show 250 coins")
    await more.click()
    await expect(watched.of("#coins tr")).to_have_count(250)
    await expect(watched.of("#coins tr").nth(100).locator(".pick")).to_be_focused()
    await expect(more).to_be_hidden()
    ranks = await watched.of("#coins td.rank").all_text_contents()
    assert ranks == [str(rank) for rank in range(1, 251)]


async def swipe(page: Page, selector: str, distance: int) -> int:
    """How far the page moves when a finger on the element moves up this far, in px."""
    await page.locator(selector).scroll_into_view_if_needed()
    box = await page.locator(selector).bounding_box()
    assert box is not None
    before = await page.evaluate("scrollY")
    session = await page.context.new_cdp_session(page)
    x, y = box["x"] + box["width"] / 2, max(distance + 20, min(box["y"] + box["height"] / 2, 800))
    for step in range(distance // STEP):
        points = [{"x": x, "y": y - step * STEP}]
        kind = "touchMove" if step else "touchStart"
        await session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        await page.wait_for_timeout(20)  # so it is no fling
    await session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    await page.wait_for_timeout(300)
    return int(await page.evaluate("scrollY")) - int(before)


@pytest.mark.parametrize("selector", ["#coins tr:nth-child(12)", "#chart", "#news-list"])
async def test_a_finger_anywhere_scrolls_the_page_of_a_phone(
    stage: Stage, look: OpenPage, selector: str
) -> None:
    async with look(stage.url, **PHONE) as watched:
        await watched.rows()
        await expect(watched.of("#news-list li").first).to_be_attached()
        assert await swipe(watched.page, selector, 150) > 100


async def test_on_a_phone_a_chosen_coin_s_chart_comes_into_view(
    stage: Stage, look: OpenPage
) -> None:
    async with look(stage.url, reduced_motion="reduce", **PHONE) as watched:
        await watched.rows()
        await expect(watched.of("#coins tr")).to_have_count(25)
        await expect(watched.of("#chart")).not_to_be_in_viewport()
        await watched.of("#coins tr[data-key=solana] .pick").tap()
        await expect(watched.of("#selected-name")).to_have_text("Solana")
        await expect(watched.of("#chart")).to_be_in_viewport(ratio=0.9)
        await watched.of("#search").fill("cardano")
        await watched.of("#search-list [role=option]").first.tap()
        await expect(watched.of("#chart")).to_be_in_viewport(ratio=0.9)


@pytest.mark.parametrize(("width", "columns"), [(959, 1), (960, 2), (2560, 2)])
async def test_two_columns_begin_at_960_px(
    stage: Stage, look: OpenPage, width: int, columns: int
) -> None:
    async with look(stage.url, viewport={"width": width, "height": 800}) as watched:
        await watched.rows()
        market = await watched.of("#market").bounding_box()
        candles = await watched.of("#candles").bounding_box()
        assert market is not None
        assert candles is not None
        assert (market["y"] == candles["y"]) is (columns == 2)
        excess = "document.documentElement.scrollWidth - innerWidth"
        assert await watched.page.evaluate(excess) <= 0


async def test_provider_names_are_readable_at_768_px(stage: Stage, look: OpenPage) -> None:
    cut = """[...document.querySelectorAll("#providers h3, .strip b, .strip h3")]
      .filter((node) => node.scrollWidth > node.clientWidth).map((node) => node.textContent)"""
    async with look(stage.url, viewport={"width": 768, "height": 900}) as watched:
        await watched.rows()
        await watched.of("[data-provider=binance]").wait_for()
        assert await watched.page.evaluate(cut) == []


async def test_the_page_names_the_addresses_for_programs(stage: Stage, look: OpenPage) -> None:
    async with look(
        stage.url, bypass_csp=True, permissions=["clipboard-read", "clipboard-write"]
    ) as watched:
        codes = watched.of("#addresses code")
        paths = ("coingecko/api/v3", "binance", "udf", "mcp")
        await expect(codes).to_have_text([f"{stage.url}{path}" for path in paths])
        await watched.page.get_by_label("Copy the address for CoinGecko").click()
        copied = await watched.page.evaluate("navigator.clipboard.readText()")
        assert copied == f"{stage.url}coingecko/api/v3"
        assert await serious(watched) == []


@pytest.mark.parametrize(("facades", "shown"), [("mcp,udf", ["udf", "mcp"]), ("", [])])
async def test_only_served_addresses_are_named(
    tmp_path: Path, look: OpenPage, facades: str, shown: list[str]
) -> None:
    async with open_stage(tmp_path, FACADES=facades) as stage, look(stage.url) as watched:
        await watched.rows()
        codes = await watched.of("#addresses code").all_text_contents()
        assert codes == [f"{stage.url}{path}" for path in shown]
        await expect(watched.of("#addresses")).to_be_visible(visible=bool(shown))


async def test_curl_gives_the_rows_that_are_shown(stage: Stage, look: OpenPage) -> None:
    async def copied(name: str) -> str:
        await watched.page.evaluate("navigator.clipboard.writeText('')")
        await watched.of(f"[data-curl={name}]").click()
        await watched.page.wait_for_function(
            "async () => (await navigator.clipboard.readText()) !== ''"
        )
        command: str = await watched.page.evaluate("navigator.clipboard.readText()")
        await expect(watched.of(f"[data-curl={name}]")).not_to_have_text("Copied")
        return command.removeprefix(f"curl '{stage.url}").removesuffix("'")

    async def answered(path: str) -> list[str]:
        got = await watched.page.request.get(f"{stage.url}{path}")
        return [row["id"] for row in (await got.json())["data"]]

    async def shown() -> list[str]:
        rows = "[...document.querySelectorAll('#coins tr')].map((row) => row.dataset.key)"
        ids: list[str] = await watched.page.evaluate(rows)
        return ids

    async with look(stage.url, permissions=["clipboard-read", "clipboard-write"]) as watched:
        await watched.rows()
        await watched.of("th.price button").click()
        path = await copied("market")
        assert path == "api/market?limit=100&sort=-price"
        assert await answered(path) == await shown()
        await watched.of("#market-filter").fill("eth")
        await expect(watched.of("#coins tr")).not_to_have_count(100)
        path = await copied("market")
        assert "ids=" in path
        assert await answered(path) == await shown()
        await watched.of("#news-sentiments [data-sentiment=negative]").click()
        assert await copied("news") == "api/news?limit=50&sentiment=negative"
