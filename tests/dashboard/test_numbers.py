"""Figures: never cut off, never with digits that nobody told; names before tickers."""

import json
from typing import Any

import pytest
from playwright.async_api import expect

from tests.dashboard.browser import Watched
from tests.dashboard.conftest import OpenPage
from tests.dashboard.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Price, what is shown, and the exact price where that has fewer digits.
PRICES = (
    (1e-12, "0.0₁₁1", "0.000000000001"),
    (7.13e-9, "0.0₈713", "0.00000000713"),
    (0.00012345, "0.0001235", "0.00012345"),
    (0.0421, "0.0421", None),
    (5.21, "5.21", None),
    (9.99999, "10", "9.99999"),
    (61240.5, "61,240.5", None),
    (1234567.8, "1,234,568", "1,234,567.8"),
    (999_999_999.4, "999,999,999", "999,999,999.4"),
    (1e9, "1B", "1,000,000,000"),
    (1.23456e12, "1.2346T", "1,234,560,000,000"),
    (0, "0", None),
    (None, "–", None),
)
LONG_NAME = "Donaudampfschifffahrtsgesellschaftskapitänsmützen und noch einiges"[:64]


def with_prices(text: str) -> str:
    """The first coins have these prices; the second has a name of 64 characters."""
    frame = json.loads(text)
    if (frame.get("channel"), frame.get("type")) != ("market", "snapshot"):
        return text
    for row, (price, _, _) in zip(frame["data"], PRICES, strict=False):
        row["price"] = price
    frame["data"][1]["name"] = LONG_NAME
    return json.dumps(frame)


FIGURES = "#coins td.num, #selected-price, .gas dd, .global dd"
CUT_OFF = """(figures) => [...document.querySelectorAll(figures)]
  .filter((node) => node.checkVisibility() && node.scrollWidth > node.clientWidth)
  .map((node) => node.textContent)"""


@pytest.mark.parametrize("width", [320, 390, 768, 960, 1280, 2560])
async def test_no_figure_is_cut_off_at_any_width(stage: Stage, look: OpenPage, width: int) -> None:
    async with look("about:blank", viewport={"width": width, "height": 900}) as watched:
        await watched.rewrite(with_prices)
        await watched.page.goto(stage.url)
        await watched.rows()
        assert await watched.page.evaluate(CUT_OFF, FIGURES) == []
        await assert_titles_are_whole(watched)


async def assert_titles_are_whole(watched: Watched) -> None:
    cut = """() => [...document.querySelectorAll("h2")]
      .filter((node) => node.scrollWidth > node.clientWidth).map((node) => node.textContent)"""
    assert await watched.page.evaluate(cut) == []
    badges = """() => [...document.querySelectorAll(".head > .badge")]
      .filter((node) => node.scrollWidth > node.clientWidth && node.clientWidth < 80)
      .map((node) => node.id)"""
    assert await watched.page.evaluate(badges) == []


async def test_prices_have_their_own_digits_and_the_exact_price_is_a_tip(
    stage: Stage, look: OpenPage
) -> None:
    async with look("about:blank") as watched:
        await watched.rewrite(with_prices)
        await watched.page.goto(stage.url)
        await watched.rows()
        for place, (_, shown, exact) in enumerate(PRICES):
            cell = watched.of("#coins td.price").nth(place)
            await expect(cell).to_have_text(shown)
            assert await cell.get_attribute("data-tip") == exact


async def test_the_exact_price_shows_for_pointer_and_focus_until_escape(
    stage: Stage, look: OpenPage
) -> None:
    async with look("about:blank") as watched:
        await watched.rewrite(with_prices)
        await watched.page.goto(stage.url)
        await watched.rows()
        tip = watched.of("#tip")
        await expect(tip).to_be_hidden()
        await watched.of("#coins td.price").first.hover()
        await expect(tip).to_have_text("0.000000000001")
        await watched.page.keyboard.press("Escape")
        await expect(tip).to_be_hidden()
        await watched.of("th.cap button").focus()
        await watched.page.keyboard.press("Tab")
        await expect(tip).to_contain_text(
            "Bitcoin: 0.000000000001 USD by CoinGecko (coingecko_free)"
        )


async def test_a_name_has_the_room_and_its_ticker_gives_way(stage: Stage, look: OpenPage) -> None:
    async with look("about:blank", viewport={"width": 390, "height": 844}) as watched:
        await watched.rewrite(with_prices)
        await watched.page.goto(stage.url)
        await watched.rows()
        shown: list[dict[str, Any]] = await watched.page.evaluate(
            """() => [...document.querySelectorAll("#coins .names")].slice(0, 40).map((node) => {
              const [name, symbol] = node.children;
              const isBeside = symbol.offsetTop === name.offsetTop;
              const isCut = name.scrollWidth > name.clientWidth;
              return { text: name.textContent, isCut, isBeside };
            })"""
        )
        by_name = {one["text"]: one for one in shown}
        assert by_name["Bitcoin"] == {"text": "Bitcoin", "isCut": False, "isBeside": True}
        assert by_name["NEAR Protocol"]["isCut"] is False
        assert by_name[LONG_NAME] == {"text": LONG_NAME, "isCut": True, "isBeside": False}
        assert not any(one["isCut"] and one["isBeside"] for one in shown)
