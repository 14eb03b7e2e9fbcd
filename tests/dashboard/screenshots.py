"""`python -m tests.dashboard.screenshots`: the dashboard as it looks, into docs/images/."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from tests.dashboard.browser import open_browser, open_page
from tests.dashboard.stage import Stage, open_stage

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
WIDE = {"width": 1360, "height": 840}
SHOTS: dict[str, dict[str, Any]] = {
    "dashboard-light": {"viewport": WIDE, "color_scheme": "light"},
    "dashboard-dark": {"viewport": WIDE, "color_scheme": "dark"},
    "dashboard-phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}


async def shoot(
    browser: Browser, stage: Stage, name: str, options: dict[str, Any], *, full: bool
) -> None:
    async with open_page(browser, **options) as watched:
        page = watched.page
        await page.goto(stage.url)
        await page.locator("#coins tr").nth(24).wait_for(state="attached")
        await page.locator("#chart canvas").first.wait_for()
        for step in range(4):
            await stage.move(1 + step / 2_000, count=35)
            await stage.move_candle(61_240.5 * (1 + step / 2_000))
            await asyncio.sleep(0.4)
        await page.screenshot(path=IMAGES / f"{name}.png", full_page=full)


async def main(full: bool) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with open_stage(Path(folder)) as stage, open_browser() as browser:
            for name, options in SHOTS.items():
                await shoot(browser, stage, name, options, full=full)


if __name__ == "__main__":
    asyncio.run(main("--full" in sys.argv))
