"""Fear & Greed, gas, news."""

import re
from functools import reduce

import pytest
from playwright.async_api import Route, expect

from tests.dashboard.browser import Watched
from tests.dashboard.conftest import OpenPage
from tests.dashboard.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_fear_and_greed_shows_value_classification_and_publisher(watched: Watched) -> None:
    await expect(watched.of("#sentiment-value")).to_have_text("46")
    await expect(watched.of("#sentiment-word")).to_have_text("Neutral")
    dial = watched.of("#sentiment-dial")
    await expect(dial).to_have_attribute("aria-label", "Fear and Greed 46 of 100: Neutral")
    needle = watched.of("#sentiment-needle")  # 46 of 100 of a half circle, radius 50, around 60, 60
    await expect(needle).to_have_attribute("cx", "53.7")
    await expect(needle).to_have_attribute("cy", "10.4")
    maker = watched.of("#sentiment-attribution a")
    await expect(maker).to_have_text("Fear & Greed Index by Alternative.me")
    await expect(maker).to_have_attribute(
        "href", "https://alternative.me/crypto/fear-and-greed-index/"
    )


async def test_a_day_without_a_classification_shows_its_value_alone(
    stage: Stage, look: OpenPage
) -> None:
    async with look("about:blank") as watched:
        await watched.rewrite(
            lambda text: text.replace('"classification":"Neutral"', '"classification":null')
        )
        await watched.page.goto(stage.url)
        await expect(watched.of("#sentiment-value")).to_have_text("46")
        await expect(watched.of("#sentiment-word")).to_have_text("")
        dial = watched.of("#sentiment-dial")
        await expect(dial).to_have_attribute("aria-label", "Fear and Greed 46 of 100")


async def test_a_missing_day_is_a_gap_in_the_line(watched: Watched) -> None:
    await expect(watched.of("#sentiment-range")).to_contain_text("29 days, from")
    await expect(watched.of("#sentiment-line polyline")).to_have_count(2)
    drawn = await watched.of("#sentiment-line polyline").last.get_attribute("points")
    assert drawn is not None
    assert drawn.endswith("236.0,34.2")  # today's 46, at the right edge
    assert len({point.split(",")[1] for point in drawn.split()}) > 5


async def test_gas_shows_three_prices_and_their_method(watched: Watched) -> None:
    for name, text in {"slow": "0.501", "average": "0.6", "fast": "0.7"}.items():
        await expect(watched.of(f"#gas-{name}")).to_have_text(text)
    await expect(watched.of("#gas-block")).to_have_text(re.compile(r"24,000,0[12]\d"))
    await expect(watched.of("#gas-method")).to_have_text("Estimated from the last 20 blocks")


async def test_news_are_newest_first_with_their_sentiment(watched: Watched) -> None:
    first = watched.of("#news-list li").first
    await expect(first).to_contain_text("Bitcoin climbs to a three-week high")
    await expect(first.locator(".mark")).to_have_attribute("data-sentiment", "positive")
    await expect(first.locator(".mark")).to_have_text("▲")
    await expect(first.locator(".about")).to_contain_text("positive.")
    link = first.locator("a")
    await expect(link).to_have_attribute("rel", "noopener noreferrer")


async def test_news_are_filtered_by_sentiment_and_words(watched: Watched) -> None:
    items = watched.of("#news-list li")
    await watched.of("#news-sentiments [data-sentiment=negative]").click()
    moods = watched.of("#news-list .mark")
    await expect(items.first).to_contain_text("Regulator fines")
    assert set(await moods.all_text_contents()) == {"▼"}
    await watched.of("#news-sentiments [data-sentiment='']").click()
    await watched.of("#news-filter").fill("stablecoin")
    await expect(items).to_have_count(1)
    await watched.of("#news-filter").fill("nothing of the kind")
    await expect(watched.of("#news-empty")).to_have_text("No article matches.")


async def test_the_tip_of_news_curl_says_that_words_are_filtered_by_the_page(
    watched: Watched,
) -> None:
    button = watched.of("[data-curl=news]")
    await watched.of("#news-filter").fill("bitcoin")
    await button.hover()
    await expect(watched.of("#tip")).to_contain_text("the gateway cannot filter by words")
    await watched.of("#news-filter").fill("")
    await button.hover()
    await expect(watched.of("#tip")).to_be_hidden()


async def test_a_failed_history_is_requested_again(stage: Stage, look: OpenPage) -> None:
    asked = 0

    async def lose_the_first(route: Route) -> None:
        nonlocal asked
        asked += 1
        await (route.fulfill(status=503, body="{}") if asked == 1 else route.continue_())

    async with look("about:blank") as watched:
        await watched.page.clock.install()
        await watched.page.route("**/api/sentiment?days=30", lose_the_first)
        await watched.page.goto(stage.url)
        await watched.rows()
        days = watched.of("#sentiment-range")
        await expect(days).to_have_text("The history could not be loaded")
        await watched.page.clock.fast_forward(10_000)
        assert asked == 1
        await watched.page.clock.fast_forward(6_000)
        await expect(days).to_contain_text("29 days, from")
        assert asked == 2
        watched.forgive("503")


async def test_markup_in_data_is_shown_as_text(stage: Stage, look: OpenPage) -> None:
    """The gateway takes markup out of titles; the page does not rely on it."""
    hostile = '<img src=x onerror=\\"window.isHarmed=1\\"><b>x</b>'
    changes = {
        "Bitcoin climbs to a three-week high": hostile,
        '"name":"Bitcoin"': f'"name":"{hostile}"',
        '"url":"https://cointelegraph.example': '"url":"javascript:window.isHarmed=1//',
    }
    async with look("about:blank") as watched:
        await watched.rewrite(
            lambda text: reduce(lambda t, c: t.replace(*c), changes.items(), text)
        )
        await watched.page.goto(stage.url)
        await watched.rows()
        await watched.of("#news-filter").fill("<img")
        item = watched.of("#news-list li")
        await expect(item).to_have_count(1)
        await expect(item).to_contain_text('<img src=x onerror="window.isHarmed=1"><b>x</b>')
        await item.locator(".headline").click()  # its address is none of the web: no link
        await expect(watched.of("#coins .name").first).to_contain_text("<img src=x")
        assert (
            await watched.page.locator("#news b, #news img, #coins img, #candles img").count() == 0
        )
        assert await watched.page.evaluate("window.isHarmed") is None
