"""The page as a whole: frames and proxies, layout, requests, accessibility."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, FrameLocator, expect

from api.server.message_compression import compressed
from tests.dashboard.browser import Watched, open_page
from tests.dashboard.conftest import OpenPage
from tests.dashboard.front import Prefixed, front, tls
from tests.dashboard.scenery import HEADLINES
from tests.dashboard.stage import Stage, open_stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
#: Settings of a gateway whose only market provider is CoinGecko, called often.
WITHOUT_TICKS = {"BINANCE_ENABLED": "false", "COINGECKO_FREE_LIMITS": "60/minute"}
SHIFTS = """window.shift = 0; new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });"""
SPACES = "https://someone-gateway.hf.space/", "https://huggingface.co/spaces/someone/gateway"


def axe() -> str:
    spec = find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "axe.min.js").read_text()


async def test_the_page_requests_only_its_gateway(stage: Stage, watched: Watched) -> None:
    assert watched.foreign == []
    hosts = {url.split("/")[2] for url in watched.requests}
    assert hosts == {f"127.0.0.1:{stage.port}"}


async def test_a_request_to_another_host_is_detected(browser: Browser) -> None:
    async with open_page(browser) as watched:
        await watched.page.goto("about:blank")  # no policy of ours keeps it from asking
        script = "fetch('https://elsewhere.example/').catch(() => null)"
        await watched.page.evaluate(script)
        assert watched.foreign == ["https://elsewhere.example/"]


@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desk", "phone"])
async def test_the_layout_does_not_shift_while_data_arrive(
    stage: Stage, look: OpenPage, screen: dict[str, Any]
) -> None:
    async with look("about:blank", **screen) as watched:
        await watched.page.add_init_script(SHIFTS)
        await watched.page.goto(stage.url)
        await watched.rows()
        await expect(watched.of("#news-list li")).not_to_have_count(0)
        await expect(watched.of("#sentiment-range")).to_contain_text("29 days")
        assert await watched.page.evaluate("window.shift") < 0.01


async def test_the_page_ends_with_its_footer_for_any_number_of_articles(
    tmp_path: Path, look: OpenPage
) -> None:
    async with open_stage(tmp_path) as stage:
        named = [(f"{title} ({n})", text) for n in range(6) for title, text in HEADLINES]
        stage.world.headlines = named
        async with look(stage.url) as watched:
            await watched.rows()
            await expect(watched.of("#news-list li").nth(30)).to_be_attached()
            rest = """document.documentElement.scrollHeight
                - document.querySelector("footer").getBoundingClientRect().bottom - scrollY"""
            assert await watched.page.evaluate(rest) < 60


async def test_the_page_has_a_small_total_size(stage: Stage, look: OpenPage) -> None:
    """Everything as it travels: files, sparklines, and the first data of the stream, compressed."""
    sizes: dict[str, int] = {}
    messages: list[str] = []
    agreed: list[str] = []

    async with look("about:blank") as watched:
        session = await watched.page.context.new_cdp_session(watched.page)
        await session.send("Network.enable")
        session.on(
            "Network.loadingFinished",
            lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}),
        )
        session.on(
            "Network.webSocketFrameReceived",
            lambda event: messages.append(event["response"]["payloadData"]),
        )
        session.on(
            "Network.webSocketHandshakeResponseReceived",
            lambda event: agreed.append(event["response"]["headers"]["Sec-WebSocket-Extensions"]),
        )
        await watched.page.goto(stage.url)
        await watched.rows()
        await expect(watched.of("#coins path[d^=M]")).to_have_count(50)
        assert len(sizes) > 15
        # The script of the charts is 63 kB of it, the sparklines of fifty coins are 70 kB.
        assert sum(sizes.values()) < 252_000
        assert agreed[0].startswith("permessage-deflate")
        first_data = sum(len(compressed(text.encode())) for text in messages)
        assert sum(sizes.values()) + first_data < 300_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_colours_follow_the_system(stage: Stage, look: OpenPage, scheme: Any) -> None:
    async with look(stage.url, color_scheme=scheme) as watched:
        background = "getComputedStyle(document.body).backgroundColor"
        wanted = {"light": "rgb(243, 245, 248)", "dark": "rgb(11, 14, 19)"}
        assert await watched.page.evaluate(background) == wanted[scheme]


async def test_the_chart_changes_its_colours_while_it_is_open(watched: Watched) -> None:
    await watched.page.emulate_media(color_scheme="dark")
    probe = """() => [...document.querySelectorAll("#chart canvas")].some((canvas) => {
      const [r, g, b] = canvas.getContext("2d").getImageData(canvas.width - 2, 2, 1, 1).data;
      return r === 19 && g === 24 && b === 31; })"""
    await watched.page.wait_for_function(probe)


async def test_a_phone_needs_no_sideways_scroll(stage: Stage, look: OpenPage) -> None:
    async with look(stage.url, **PHONE) as watched:
        await watched.rows()
        await watched.of("[data-provider=binance]").wait_for()
        width = await watched.page.evaluate("document.documentElement.scrollWidth")
        assert width == 390
        for name in ("name", "price", "change"):
            await expect(watched.of(f"#coins tr[data-key=bitcoin] .{name}")).to_be_in_viewport()


async def test_axe_finds_nothing_serious_on_a_phone(stage: Stage, look: OpenPage) -> None:
    async with look(stage.url, bypass_csp=True, **PHONE) as watched:
        await watched.rows()
        await watched.of("[data-provider=binance]").wait_for()
        await watched.of("#news-list li").first.wait_for()
        assert await serious(watched) == []


async def serious(watched: Watched) -> list[tuple[str, ...]]:
    """What axe finds in the page as it is now."""
    await watched.page.evaluate(axe())
    found = await watched.page.evaluate("axe.run({ resultTypes: ['violations'] })")
    assert len(found["passes"]) > 15
    return [
        (rule["id"], node["target"], node["failureSummary"])
        for rule in found["violations"]
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious_during_an_outage(
    tmp_path: Path, look: OpenPage, scheme: Any
) -> None:
    """Providers that failed, stale rows, an open dialog; then no connection."""
    async with (
        open_stage(tmp_path, CACHE_TTL_MARKET="0.4", **WITHOUT_TICKS) as stage,
        look(stage.url, bypass_csp=True, color_scheme=scheme) as watched,
    ):
        stage.world.limits["coingecko_free"] = 60, 60.0
        await watched.rows_only()
        stage.world.faults = {"coingecko_free": "http500"}
        await expect(watched.of("#market-badge")).to_have_attribute("data-kind", "stale")
        card = watched.of("[data-provider=coingecko_free] .badge")
        await expect(card).to_have_attribute("data-kind", "stale")
        await watched.of("[data-curl=gas]").click()
        assert await serious(watched) == []
        await watched.page.keyboard.press("Escape")
        await stage.stop()
        await expect(watched.of("#connection-text")).to_contain_text("Connection lost")
        await expect(watched.of("#status-badge")).to_have_attribute("data-kind", "bad")
        assert await serious(watched) == []
        await stage.start()
        await expect(watched.of("#connection-text")).to_have_text("Connected", timeout=30_000)
        watched.forgive_loss()


async def test_it_is_used_by_keyboard(watched: Watched) -> None:
    """From the top down: a sorted column, an interval, a mood of the news."""
    for name, shows in (
        ("#market th.price button", "#market th.price:not([aria-sort=none])"),
        ("#intervals button >> text=4h", "#intervals [aria-pressed=true] >> text=4h"),
        (
            "#news-sentiments [data-sentiment=negative]",
            "#news-sentiments [data-sentiment=negative][aria-pressed=true]",
        ),
    ):
        assert await reached_by_tab(watched, name), name
        await watched.page.keyboard.press("Enter")
        await expect(watched.of(shows)).to_have_count(1)


async def reached_by_tab(watched: Watched, selector: str) -> bool:
    """The focus is moved on to it, as by somebody without a mouse."""
    target = await watched.of(selector).element_handle()
    for _ in range(300):
        await watched.page.keyboard.press("Tab")
        if await watched.page.evaluate("(one) => one === document.activeElement", target):
            return True
    return False


async def test_it_works_behind_a_path_prefix(stage: Stage, look: OpenPage) -> None:
    async with (
        front(Prefixed(stage.app, "/crypto/gateway")) as address,
        look(f"{address}/crypto/gateway/") as watched,
    ):
        await watched.rows()
        await expect(watched.of("#sentiment-range")).to_contain_text("29 days")
        paths = [url.removeprefix(address) for url in watched.requests]
        assert [path for path in paths if not path.startswith("/crypto/gateway/")] == []


async def test_it_works_behind_a_proxy_that_ends_tls(stage: Stage, look: OpenPage) -> None:
    async with tls(stage.port) as address, look(address, ignore_https_errors=True) as watched:
        await watched.rows()
        await expect(watched.of("#connection-text")).to_have_text("Connected")
        assert {url.partition(":")[0] for url in watched.requests} == {"https"}
        assert [url.partition(":")[0] for url in watched.sockets] == ["wss"]


async def test_behind_tls_it_works_without_trusted_proxies(tmp_path: Path, look: OpenPage) -> None:
    async with (
        open_stage(tmp_path, CORS_ORIGINS="https://mine.example") as stage,
        tls(stage.port) as address,
        look(address, ignore_https_errors=True) as watched,
    ):
        await watched.rows()


async def test_data_providers_are_named_with_a_link(watched: Watched) -> None:
    link = watched.page.get_by_role("link", name="Data provided by CoinGecko")
    await expect(link).to_have_attribute("href", "https://www.coingecko.com")


async def test_the_page_sets_no_cookie_and_stores_nothing(watched: Watched) -> None:
    assert await watched.page.context.cookies() == []
    kept = "Promise.all([localStorage.length, sessionStorage.length, indexedDB.databases()])"
    assert await watched.page.evaluate(kept) == [0, 0, []]


async def frame_rows(frame: FrameLocator) -> None:
    await expect(frame.locator("#coins tr")).to_have_count(25)
    await expect(frame.locator("#chart-legend")).to_contain_text("UTC")
    await expect(frame.locator("#sentiment-range")).to_contain_text("29 days")


@pytest.mark.parametrize("sandbox", ["", 'sandbox="allow-scripts"'], ids=["plain", "sandboxed"])
@pytest.mark.parametrize("space", SPACES)
async def test_it_works_in_a_frame_of_another_origin(
    stage: Stage, browser: Browser, sandbox: str, space: str
) -> None:
    page = f"<!doctype html><iframe src={stage.url} {sandbox} width=900 height=900></iframe>"
    async with open_page(browser) as watched:
        await watched.page.route(
            space, lambda route: route.fulfill(body=page, content_type="text/html")
        )
        await watched.page.goto(space)
        await frame_rows(watched.page.frame_locator("iframe"))
        assert set(watched.foreign) == {space}
        assert watched.errors == []


async def test_a_frame_of_an_unknown_origin_is_refused(stage: Stage, browser: Browser) -> None:
    page = f"<!doctype html><iframe src={stage.url}></iframe>"
    async with open_page(browser) as watched:
        stranger = "https://stranger.example/"
        await watched.page.route(
            stranger, lambda route: route.fulfill(body=page, content_type="text/html")
        )
        await watched.page.goto(stranger)
        await expect(watched.page.frame_locator("iframe").locator("#coins")).to_have_count(0)
        assert any("frame-ancestors" in error for error in watched.errors)


async def test_copying_gives_a_curl_command(stage: Stage, look: OpenPage) -> None:
    async with look(stage.url, permissions=["clipboard-read", "clipboard-write"]) as watched:
        await watched.rows()
        for name, path in {
            "market": "api/market?limit=100",
            "ohlc": "api/market/ohlc?symbol=bitcoin&interval=1h",
            "sentiment": "api/sentiment?days=30",
            "gas": "api/gas",
            "news": "api/news?limit=50",
            "status": "api/status",
        }.items():
            await watched.of(f"[data-curl={name}]").click()
            await expect(watched.of(f"[data-curl={name}]")).to_have_text("Copied")
            copied = await watched.page.evaluate("navigator.clipboard.readText()")
            assert copied == f"curl '{stage.url}{path}'"


async def test_without_a_clipboard_the_command_is_shown(stage: Stage, look: OpenPage) -> None:
    async with look(stage.url) as watched:
        await watched.page.evaluate(
            "() => { navigator.clipboard.writeText = () => Promise.reject(); }"
        )
        await watched.of("[data-curl=gas]").click()
        field = watched.page.get_by_role("textbox", name="The curl command")
        await expect(field).to_have_value(f"curl '{stage.url}api/gas'")
        await watched.page.keyboard.press("Escape")
        await expect(field).to_be_hidden()
