"""The strip of categories and the providers' cards."""

import math
import re
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from tests.dashboard.browser import Watched
from tests.dashboard.conftest import OpenPage
from tests.dashboard.stage import Stage, open_stage

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_each_category_shows_its_provider(watched: Watched) -> None:
    served = {
        "market": "CoinGecko",
        "ohlc": "Binance",
        "news": "CoinDesk + 2",
        "sentiment": "Alternative.me",
        "gas": "Ethereum node",
    }
    for category, name in served.items():
        await expect(watched.of(f"[data-category={category}] b")).to_have_text(name)


async def test_a_provider_without_a_key_shows_the_setting(watched: Watched) -> None:
    pro = watched.of("[data-provider=coingecko_pro]")
    await expect(pro.locator(".badge")).to_have_text("Add a key")
    await expect(pro.locator(".why")).to_have_text("Set COINGECKO_PRO_API_KEY to use it")
    await expect(pro.locator(".about")).to_have_text(re.compile("^market, .*candles$"))


async def test_a_provider_shows_its_figures_and_quotas(stage: Stage, watched: Watched) -> None:
    free = watched.of("[data-provider=coingecko_free]")
    await expect(free).to_contain_text("100 %")
    # The list, the figures of the whole market, and the sparklines.
    await expect(free).to_contain_text("2 of 5 left / minute")
    async with httpx.AsyncClient() as client:
        status = (await client.get(f"{stage.url}api/status")).json()
    (latency,) = [p["latency_ms"] for p in status["providers"] if p["name"] == "coingecko_free"]
    # The same rounding as JavaScript's, of halves upwards.
    shown = [math.floor(latency[name] + 0.5) for name in ("p50", "p95")]
    await expect(free.locator("dl")).to_contain_text(f"{shown[0]} ms / {shown[1]} ms")


async def test_failure_and_recovery_of_a_provider_show(tmp_path: Path, look: OpenPage) -> None:
    quick = {"CACHE_TTL_GAS": "0.3", "COOLDOWN": "1", "COOLDOWN_MAX": "1", "LOG_LEVEL": "ERROR"}
    async with open_stage(tmp_path, **quick) as stage, look(stage.url) as watched:
        await watched.rows()
        rpc = watched.of("[data-provider=ethereum_rpc]")
        stage.world.faults = {"ethereum_rpc": "http500", "ethereum_rpc_second": "http500"}
        badge = watched.of("#gas-badge")
        await expect(badge).to_have_attribute("data-kind", "stale")
        await expect(badge).to_contain_text("Stale · ")
        await expect(badge).to_contain_text(" old · the provider failed")
        await expect(rpc.locator(".badge")).to_have_text(re.compile(r"^Paused( \d+ s)?$"))
        await expect(rpc.locator(".why")).to_contain_text("The provider failed")
        await expect(rpc.locator(".why")).to_have_text(
            re.compile(r"^The provider failed(; the next request tries it again)?$")
        )
        await expect(watched.of("[data-category=gas]")).not_to_have_attribute("data-kind", "live")
        stage.world.faults = {}
        await expect(badge).to_contain_text("Fresh", timeout=15_000)
        await expect(rpc.locator(".badge")).to_have_text("Live")
