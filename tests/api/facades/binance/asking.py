"""How the tests ask `/binance/api/v3`, and what they see of the calls that it costs."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import httpx

from tests.world.server import World

ROOT = "/binance/api/v3"


async def ask(
    client: httpx.AsyncClient,
    path: str,
    headers: Mapping[str, str] | None = None,
    /,
    **parameters: Any,
) -> httpx.Response:
    return await client.get(f"{ROOT}/{path}", params=parameters or None, headers=headers)


async def answered(client: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    answer = await ask(client, path, **parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def error_in(answer: httpx.Response) -> tuple[int, int, str]:
    """Status, code and text of an error in Binance's shape."""
    document = answer.json()
    assert set(document) == {"code", "msg"}, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, document["code"], document["msg"]


async def refused(client: httpx.AsyncClient, path: str, **parameters: Any) -> tuple[int, int, str]:
    return error_in(await ask(client, path, **parameters))


def sent(world: World, name: str = "binance") -> list[tuple[str, dict[str, str]]]:
    """Path and parameters of each call."""
    targets = [request.target.partition("?") for host, request in world.requests if host == name]
    return [(path, dict(parse_qsl(query))) for path, _, query in targets]


def asked(world: World, path: str) -> list[dict[str, str]]:
    """The parameters of the calls of one path."""
    return [parameters for found, parameters in sent(world) if found == f"/api/v3/{path}"]
