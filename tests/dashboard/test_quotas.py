"""Quotas of a key whose use before the start is not known."""

import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import OpenPage
from tests.dashboard.stage import Stage, open_stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = "CG-demo-0123456789"
WITH_KEY = {"COINGECKO_FREE_API_KEY": KEY, "COINGECKO_FREE_LIMITS": "9000/30 days"}
BUDGET = "[data-provider=coingecko_free] .quotas li"


def accept_key(stage: Stage) -> None:
    stage.world.good_keys["coingecko_free"] = KEY
    stage.world.limits["coingecko_free"] = 30, 60.0


async def test_assumed_use_of_a_key_is_told_from_calls_and_is_not_red(
    tmp_path: Path, look: OpenPage
) -> None:
    async with open_stage(tmp_path, **WITH_KEY) as stage:
        accept_key(stage)
        await assert_assumed_use_is_shown(stage, look)


async def assert_assumed_use_is_shown(stage: Stage, look: OpenPage) -> None:
    async with look(stage.url) as watched:
        await watched.rows_only()
        quota = watched.of(BUDGET)
        text = re.compile(
            r"^called: [1-9]; assumed used before this start: [\d,]+ of 9,000 / month; "
            r"paced at about [\d,]+ an hour$"
        )
        await expect(quota).to_have_text(text)
        await expect(quota.locator(".quota-bar")).to_have_attribute("data-low", "false")
        why = watched.of("[data-provider=coingecko_free] .why")
        await expect(why).to_contain_text("set COINGECKO_FREE_KEY_IS_NEW=true")


async def test_of_a_new_key_the_page_shows_what_is_left(tmp_path: Path, look: OpenPage) -> None:
    async with open_stage(tmp_path, COINGECKO_FREE_KEY_IS_NEW="true", **WITH_KEY) as stage:
        accept_key(stage)
        async with look(stage.url) as watched:
            await watched.rows_only()
            await expect(watched.of(BUDGET)).to_have_text(
                re.compile(r"^8,99\d of 9,000 left / month$")
            )
