"""The interactive documentation, in a browser that reaches only the gateway."""

import orjson
import pytest
from playwright.async_api import expect

from tests.api.openapi_document import DOCUMENT
from tests.dashboard.browser import Watched
from tests.dashboard.conftest import OpenPage
from tests.dashboard.front import Prefixed, front
from tests.dashboard.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

GROUPS = "market candles news sentiment gas stream operations Drop-in".split()


async def open_operation(watched: Watched, group: str, name: str) -> None:
    await watched.of(f"#operations-tag-{group}").click()
    await watched.of(f"#operations-{group}-{name} .opblock-summary").click()


async def test_swagger_shows_the_groups_in_order_and_asks_the_gateway(
    stage: Stage, look: OpenPage
) -> None:
    async with look(f"{stage.url}docs") as watched:
        groups = watched.of("h3.opblock-tag")
        await expect(groups).to_have_count(len(GROUPS))
        assert [await group.get_attribute("data-tag") for group in await groups.all()] == GROUPS
        await open_operation(watched, "gas", "get_gas")
        await watched.page.get_by_role("button", name="Try it out").click()
        await watched.page.get_by_role("button", name="Execute").click()
        answered = watched.of(".live-responses-table .response")
        await expect(answered).to_contain_text('"source": "ethereum_rpc"')


async def test_what_is_required_is_filled_in(stage: Stage, look: OpenPage) -> None:
    async with look(f"{stage.url}docs") as watched:
        await open_operation(watched, "candles", "list_candles")
        await watched.page.get_by_role("button", name="Try it out").click()
        await watched.page.get_by_role("button", name="Execute").click()
        answered = watched.of(".live-responses-table .response")
        await expect(answered).to_contain_text('"source": "binance"')


async def test_behind_a_prefix_it_asks_there(stage: Stage, look: OpenPage) -> None:
    async with (
        front(Prefixed(stage.app, "/crypto/gateway")) as address,
        look(f"{address}/crypto/gateway/docs") as watched,
    ):
        await open_operation(watched, "gas", "get_gas")
        await watched.page.get_by_role("button", name="Try it out").click()
        await watched.page.get_by_role("button", name="Execute").click()
        answered = watched.of(".live-responses-table .response")
        await expect(answered).to_contain_text('"source": "ethereum_rpc"')


async def test_redoc_shows_every_path_and_examples(stage: Stage, look: OpenPage) -> None:
    paths = orjson.loads(DOCUMENT.read_bytes())["paths"]
    async with look(f"{stage.url}redoc") as watched:
        for operation in (one for methods in paths.values() for one in methods.values()):
            section = watched.of(f'[id="operation/{operation["operationId"]}"]')
            await expect(section).to_contain_text(operation["summary"])
        for path in paths:
            await expect(watched.page.get_by_text(path, exact=True).first).to_be_attached()
        await expect(watched.page.get_by_text('"market_cap_rank"').first).to_be_attached()
