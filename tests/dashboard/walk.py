"""`python -m tests.dashboard.walk FOLDER [width …]`: the page at each width, light and dark, with
long names and prices from 1e-12 to 1e9, into images to be looked at."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, FloatRect

from tests.dashboard import scenery
from tests.dashboard.browser import open_browser, open_page
from tests.dashboard.stage import Stage, open_stage

HEIGHTS = {390: 844, 768: 1024, 960: 720, 1280: 800, 1920: 1080, 2560: 1440}
#: The height of one image, in px: a long page in one image cannot be read.
PIECE = 1_400
LONG_NAME = "The Quite Extraordinarily Long Name of a Coin of Sixty-Four Chars"[:64]
PRICES = (1e-12, 7.1e-9, 0.99999, 1.0, 5.21, 1_234_567.891, 1e9)


def make_hard() -> None:
    """The second to eighth coins are hard to show."""
    for place, price in enumerate(PRICES, start=1):
        name, symbol, title, _ = scenery.COINS[place]
        scenery.COINS[place] = name, symbol, LONG_NAME if place % 2 else title, price


async def shoot(
    browser: Browser, stage: Stage, path: Path, coin: str, options: dict[str, Any]
) -> None:
    async with open_page(browser, **options) as watched:
        await watched.page.goto(f"{stage.url}#coin={coin}")
        await watched.of("#coins tr").nth(20).wait_for(state="attached")
        await watched.of("#chart canvas").first.wait_for(state="attached")
        await watched.of("[data-provider=binance]").wait_for()
        await asyncio.sleep(1.5)
        height = await watched.page.evaluate("document.documentElement.scrollHeight")
        for top in range(0, height, PIECE):
            width = options["viewport"]["width"]
            clip: FloatRect = {"x": 0, "y": top, "width": width, "height": min(PIECE, height - top)}
            piece = path.with_stem(f"{path.stem}-{top // PIECE}")
            await watched.page.screenshot(path=piece, full_page=True, clip=clip)


async def main(folder: Path, widths: list[int]) -> None:
    make_hard()
    with tempfile.TemporaryDirectory() as state:
        async with open_stage(Path(state)) as stage, open_browser() as browser:
            for width in widths:
                for scheme, coin in (("light", "bitcoin"), ("dark", "ethereum")):
                    size = {"width": width, "height": HEIGHTS[width]}
                    options: dict[str, Any] = {"viewport": size, "color_scheme": scheme}
                    if width < 500:
                        options |= {"has_touch": True, "is_mobile": True}
                    path = folder / f"{width}-{scheme}.png"
                    await shoot(browser, stage, path, coin, options)


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    chosen = [int(one) for one in sys.argv[2:]] or list(HEIGHTS)
    asyncio.run(main(Path(sys.argv[1]), chosen))
