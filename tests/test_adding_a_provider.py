"""The code of docs/adding-a-provider.md, against a server that behaves as the page says."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from backend.errors import SourceUnavailable
from backend.gateway import Gateway, open_gateway
from backend.models.gas import GasQuery
from backend.models.status import WebSocketStatus
from backend.providers.adapter import Context, ProviderSpec
from backend.settings import Configuration, ProviderSettings, Settings
from tests.clocks import EPOCH_MS

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "adding-a-provider.md").read_text()
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
(ANSWER,) = re.findall(r'as `(\{"block".*?\}\})`', TEXT)
(REFUSAL,) = re.findall(r'says `(\{"error".*?\})`', TEXT)
KEY = "a-key-of-gasfeed-0001"
NOWHERE = "NOBODY_SETS_THIS_"


def spec() -> ProviderSpec:
    names: dict[str, Any] = {"__name__": "gasfeed"}
    exec(compile(EXAMPLE, "adding-a-provider.md", "exec"), names)  # noqa: S102 - our own document
    found: ProviderSpec = names["SPEC"]
    return found


@asynccontextmanager
async def gasfeed(status: int, body: str, asked: list[str]) -> AsyncIterator[str]:
    """A server that gives the same answer to each call."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split()[1].decode())
        lines = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(lines.encode() + body.encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def configuration(url: str) -> Configuration:
    gateway = Settings(_env_prefix=NOWHERE, _env_file=None, state_path=None)
    provider = ProviderSettings(
        _env_prefix=NOWHERE, _env_file=None, api_key=SecretStr(KEY), base_url=(url,)
    )
    return Configuration(gateway, {"gasfeed": provider})


@asynccontextmanager
async def gateway_of(status: int, body: str, asked: list[str]) -> AsyncIterator[Gateway]:
    async with (
        gasfeed(status, body, asked) as url,
        open_gateway(configuration(url), registry=(spec(),)) as gateway,
    ):
        yield gateway


async def test_the_example_answers() -> None:
    asked: list[str] = []
    async with gateway_of(200, ANSWER, asked) as gateway:
        answer = await gateway.gas.latest()
    payload = json.loads(ANSWER)
    assert (answer.source, answer.data.average) == ("gasfeed", payload["gwei"]["standard"])
    assert answer.data.block == payload["block"]
    assert asked == [f"/v1/gas?key={KEY}"]


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [(403, REFUSAL, "quota_exhausted"), (200, ANSWER.replace("0.7", "0.1"), "cooldown")],
)
async def test_an_error_of_the_example_leads_to_the_documented_state(
    status: int, body: str, state: str
) -> None:
    async with gateway_of(status, body, []) as gateway:
        with pytest.raises(SourceUnavailable):
            await gateway.gas.latest()
        (provider,) = gateway.status.overview(WebSocketStatus(0, 0, 0)).providers
    assert provider.status == state


def test_the_example_refuses_a_block_that_cannot_be_the_newest_one() -> None:
    (operation,) = spec().adapter.operations
    payload = json.loads(ANSWER)
    known = GasQuery(newest_block=payload["block"] + 10, newest_block_at_ms=EPOCH_MS)
    with pytest.raises(ValueError, match="is older than"):
        operation.parse(known, [payload], Context("gasfeed", "free", EPOCH_MS))
