"""The states in which a reader may find the page, each reached by what causes it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from playwright.async_api import expect

from backend.providers.registry import REGISTRY
from tests.dashboard.browser import Watched
from tests.dashboard.stage import Stage, open_stage

QUICK = {"COOLDOWN": "0.5", "COOLDOWN_MAX": "0.5", "LOG_LEVEL": "ERROR"}
CATEGORIES = ("market", "ohlc", "news", "sentiment", "gas")
#: A port at which nobody listens.
NOBODY = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Situation:
    """`begin` runs before the page is opened; after `reach` the page shows the state."""

    settings: Mapping[str, str] = field(default_factory=dict)
    begin: Callable[[Stage], Awaitable[None]] | None = None
    reach: Callable[[Stage, Watched], Awaitable[None]] | None = None
    #: Whether the page's requests are refused, of which the browser itself complains.
    complains: bool = False


@asynccontextmanager
async def open_situation(name: str, folder: Path) -> AsyncIterator[tuple[Stage, Situation]]:
    situation = SITUATIONS[name]
    async with open_stage(folder, **situation.settings) as stage:
        stage.world.limits["coingecko_free"] = 60, 60.0
        if situation.begin:
            await situation.begin(stage)
        yield stage, situation


def break_all(stage: Stage, fault: str = "http500") -> None:
    stage.world.faults = dict.fromkeys(stage.world.limits, fault)


async def arrive(_stage: Stage, watched: Watched) -> None:
    await watched.rows()
    await expect(watched.of("[data-provider=binance]")).to_be_attached()
    await expect(watched.of("#news-list li").first).to_be_attached()
    await expect(watched.of("#sentiment-range")).to_contain_text("29 days")


async def fail_one(stage: Stage, watched: Watched) -> None:
    await arrive(stage, watched)
    stage.world.faults = {"coingecko_free": "http500"}
    card = watched.of("[data-provider=coingecko_free] .badge")
    await expect(card).to_have_attribute("data-kind", "stale")


async def fail_all(stage: Stage, watched: Watched) -> None:
    await arrive(stage, watched)
    break_all(stage)
    await stage.push.stop()
    await expect(watched.of("#market-badge")).to_have_attribute("data-kind", "stale")
    await expect(watched.of("#banner")).to_contain_text("Old figures")


async def expire(stage: Stage, watched: Watched) -> None:
    await arrive(stage, watched)
    break_all(stage)
    for name in CATEGORIES:
        await expect(watched.of(f"#{name}-badge")).to_contain_text("Too old", timeout=30_000)


async def know_nothing(stage: Stage) -> None:
    break_all(stage)


async def find_nothing(_stage: Stage, watched: Watched) -> None:
    for name in CATEGORIES:
        await expect(watched.of(f"#{name}-badge")).to_have_attribute("data-kind", "bad")


async def keep_silent(stage: Stage) -> None:
    break_all(stage, "silence")


async def wait(_stage: Stage, watched: Watched) -> None:
    await expect(watched.of("[data-provider=frankfurter] .badge")).to_have_text("Ready")


async def cut_off(stage: Stage) -> None:
    await stage.push.stop()


async def lose(stage: Stage, watched: Watched) -> None:
    await arrive(stage, watched)
    await stage.stop()
    await expect(watched.of("#banner-what")).to_contain_text("is lost")


async def ask_for_key(_stage: Stage, watched: Watched) -> None:
    await expect(watched.page.get_by_label("Gateway key")).to_be_focused()


async def use_up_limits(stage: Stage) -> None:
    """This address's, and the share of the page."""
    async with httpx.AsyncClient(headers={"Sec-Fetch-Site": "same-origin"}) as client:
        while (await client.get(f"{stage.url}api/status")).status_code == 200:
            pass


async def exhaust(stage: Stage, watched: Watched) -> None:
    await arrive(stage, watched)
    await use_up_limits(stage)
    await watched.of("#search").fill("tiny")
    await expect(watched.of("#banner-what")).to_have_text("Your request limit is used up.")


OLD = {f"CACHE_TTL_{name.upper()}": "0.5" for name in CATEGORIES}
TOO_OLD = {f"MAX_STALE_{name.upper()}": "3" for name in CATEGORIES}
MANY = {"COINGECKO_FREE_LIMITS": "60/minute"}
UNREACHABLE = {
    f"{spec.name.upper()}_BASE_URL": NOBODY for spec in REGISTRY if not spec.name.endswith("_pro")
}
SITUATIONS = {
    "well": Situation(reach=arrive),
    "one_failing": Situation({"CACHE_TTL_MARKET": "1", **MANY}, reach=fail_one),
    "all_failing": Situation({**OLD, **MANY, **QUICK}, reach=fail_all),
    "expired": Situation({**OLD, **TOO_OLD, **MANY, **QUICK}, reach=expire, complains=True),
    "nothing_known": Situation(QUICK, know_nothing, find_nothing, complains=True),
    "first_seconds": Situation(
        {"PROVIDER_TIMEOUT": "60", "REQUEST_DEADLINE": "60"}, keep_silent, wait
    ),
    "no_network": Situation({**UNREACHABLE, **QUICK}, cut_off, find_nothing, complains=True),
    "lost": Situation(reach=lose, complains=True),
    "locked": Situation({"GATEWAY_API_KEYS": "gw-0123456789abcdef"}, reach=ask_for_key),
    "limited": Situation({"CLIENT_RATE_LIMIT": "400/minute"}, reach=exhaust, complains=True),
}
