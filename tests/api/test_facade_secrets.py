"""Keys of clients, at each place of each dialect: they open what is locked, and go nowhere."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest

from api.edge.path_policies import PathPolicies
from api.hf_unified_server import FACADES
from tests.api.facades.mcp.client import stateless
from tests.api.shared import SharedGateways
from tests.life.process import Gateway, running
from tests.world.server import World

#: Below each prefix a question that is answered, and a path that nobody has.
QUESTIONS = {
    "/coingecko/api/v3": "/coingecko/api/v3/global",
    "/binance": "/binance/api/v3/avgPrice?symbol=BTCUSDT",
    "/udf": "/udf/quotes?symbols=BTC",
    "/mcp": "/mcp",
}
USUAL_HEADERS = ("x-api-key", "authorization")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client puts a key: a header, or a parameter of the query string."""

    prefix: str
    kind: str
    name: str

    @property
    def id(self) -> str:
        return f"{self.prefix} {self.kind} {self.name}"

    async def ask(self, client: httpx.AsyncClient, key: str) -> httpx.Response:
        """The question of the dialect, with this key."""
        headers, parameters = {}, {}
        if self.kind == "parameter":
            parameters = {self.name: key}
        else:
            headers = {self.name: f"Bearer {key}" if self.name == "authorization" else key}
        return await ask(client, QUESTIONS[self.prefix], headers, parameters)


async def ask(
    client: httpx.AsyncClient,
    path: str,
    headers: dict[str, str] | None = None,
    parameters: dict[str, str] | None = None,
) -> httpx.Response:
    url = httpx.URL(path).copy_merge_params(parameters or {})
    if path != "/mcp":
        return await client.get(url, headers=headers)
    body, own = stateless("tools/call", name="get_gas", arguments={})
    return await client.post(url, json=body, headers=own | (headers or {}))


def declared() -> PathPolicies:
    policies = PathPolicies()
    for routers in FACADES.values():
        for router in routers:
            policies.declare(router)
    return policies


def places() -> list[Place]:
    """All places, those that a dialect adds among them."""
    found, policies = [], declared()
    for prefix in QUESTIONS:
        own = policies.key_places(prefix)
        headers = (*USUAL_HEADERS, *own.headers)
        found += [Place(prefix, "header", name) for name in headers]
        found += [Place(prefix, "parameter", name) for name in own.parameters]
    return found


PLACES = places()
OWN_PLACES = [place for place in PLACES if place.name not in USUAL_HEADERS]
KEYS = {place: f"key/of={number}+a&client" for number, place in enumerate(PLACES, 1)}
LOCK = {"GATEWAY_API_KEYS": ",".join(KEYS.values())}


def test_each_facade_has_its_question_here() -> None:
    prefixes = {
        router.prefix for routers in FACADES.values() for router in routers if router.prefix
    }
    assert prefixes == set(QUESTIONS)
    assert len(PLACES) == 2 * len(QUESTIONS) + 5


@pytest.mark.parametrize("prefix", QUESTIONS)
async def test_gateway_keys_lock_every_path_of_a_dialect(
    shared: SharedGateways, prefix: str
) -> None:
    async with shared.client(**LOCK) as client:
        for path in (QUESTIONS[prefix], f"{prefix}/no/such/path", f"{prefix}/", prefix):
            answer = await ask(client, path)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.id)
async def test_the_key_is_accepted_at_each_place_and_another_is_not(
    shared: SharedGateways, place: Place
) -> None:
    async with shared.client(**LOCK) as client:
        answer = await place.ask(client, KEYS[place])
        assert answer.status_code == 200, answer.text
        for wrong in ("another-key-0001", "", KEYS[place][:-1], KEYS[place] + "x"):
            assert (await place.ask(client, wrong)).status_code == 401, wrong


@pytest.mark.parametrize("place", OWN_PLACES, ids=lambda place: place.id)
async def test_a_key_opens_no_other_dialects_place(shared: SharedGateways, place: Place) -> None:
    """`X-MBX-APIKEY` is a key for /binance only, and so on."""
    async with shared.client(**LOCK) as client:
        for prefix in set(QUESTIONS) - {place.prefix}:
            elsewhere = Place(prefix, place.kind, place.name)
            assert (await elsewhere.ask(client, KEYS[place])).status_code == 401


def spellings(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}


def leaks(texts: dict[str, str]) -> list[str]:
    """Where which key is found."""
    return [
        f"{place.id}: in {where}"
        for place, key in KEYS.items()
        for where, text in texts.items()
        if any(spelling in text for spelling in spellings(key))
    ]


def files(folder: Path) -> dict[str, str]:
    """Output, logs and state, by their names."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.name: path.read_bytes().decode("latin-1") for path in paths}


def upstream(world: World) -> dict[str, str]:
    return {
        f"call {number} of {name}": f"{sent.target} {sent.headers} {sent.body.decode('latin-1')}"
        for number, (name, sent) in enumerate(world.requests)
    }


async def answers(gateway: Gateway) -> dict[str, str]:
    """Of each dialect with each key, and what the gateway says of itself then."""
    found: dict[str, Any] = {}
    for place, key in KEYS.items():
        answer = await place.ask(gateway.client, key)
        assert answer.status_code == 200, (place.id, answer.text)
        found[f"the answer to {place.id}"] = answer
        bad = await place.ask(gateway.client, f"{key}?")
        found[f"the refusal of {place.id}"] = bad
    for path in ("/metrics", "/api/status", "/openapi.json"):
        headers = {"X-API-Key": KEYS[PLACES[0]]}
        found[path] = await gateway.client.get(path, headers=headers)
    return {name: f"{answer.headers} {answer.text}" for name, answer in found.items()}


@pytest.mark.parametrize("is_locked", [True, False])
async def test_no_key_of_a_client_goes_anywhere(tmp_path: Path, is_locked: bool) -> None:
    """Neither a gateway's key nor, where it has none, what a client sends all the same."""
    settings = {"STATE_PATH": "state/gateway.sqlite", "LOG_LEVEL": "DEBUG", "CLIENT_RATE_LIMIT": ""}
    async with World() as world:
        settings |= world.environment() | (LOCK if is_locked else {})
        async with running(tmp_path, **settings) as gateway:
            told = await answers(gateway)
            ended = await gateway.stop()
        assert ended.code == 0, ended.output
        texts = {**told, **upstream(world), **files(tmp_path)}
    names = {Path(name).suffix for name in texts}
    assert {".sqlite", ".log", ".txt"} <= names
    assert {"coingecko_free", "binance"} <= {name for name, _ in world.requests}
    assert leaks(texts) == []


async def test_a_key_is_no_part_of_a_question(tmp_path: Path) -> None:
    """Clients with different keys ask one question, which costs one call."""
    mine = [place for place in PLACES if place.prefix == "/binance"]
    async with World() as world:
        settings = world.environment(BINANCE_LIMITS="6000/minute", **LOCK)
        async with running(tmp_path, **settings) as gateway:
            answers = [await place.ask(gateway.client, KEYS[place]) for place in mine]
        targets = [sent.target for name, sent in world.requests if name == "binance"]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert targets.count("/api/v3/avgPrice?symbol=BTCUSDT") == 1


def test_the_search_would_find_a_leak() -> None:
    place = PLACES[-1]
    for spelling in spellings(KEYS[place]):
        assert leaks({"a log": f"x{spelling}x"}) == [f"{place.id}: in a log"]
