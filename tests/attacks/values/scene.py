"""Where one value, character or row of a provider is odd, and the rest is well."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.attacks.attack import Scene, Tally
from tests.attacks.ground import RESTLESS, Field, field_of, until_ranked
from tests.attacks.providers import KEYS, Hostile, Spoil
from tests.attacks.reading import QUESTIONS, read_for
from tests.attacks.wire.scene import CATEGORY, all_rivals
from tests.world import data
from tests.world.push import PushWorld
from tests.world.server import WITH_SECOND_INDEX

LOSS = "an answer that is no 200, lacks the other rows, or a provider that is refused for one row"
#: Coins whose symbol ends in the first letter of a longer quote's name, beside the shorter ones.
PAIRS = (("cat-coin", "cat", 5.0), ("ca-coin", "ca", 900.0), ("btcb-coin", "btcb", 3.0))


@asynccontextmanager
async def opened() -> AsyncIterator[Field]:
    async with Hostile() as world, PushWorld() as push:
        now = data.utc(world.now_ms - 20_000)
        world.more_coins = [
            data.coin_row(251 + place, name, symbol, name.title(), price, now)
            for place, (name, symbol, price) in enumerate(PAIRS)
        ]
        settings = {
            **world.unlimited(),
            **KEYS,
            **RESTLESS,
            **WITH_SECOND_INDEX,
            "LOG_LEVEL": "DEBUG",
        }
        async with field_of(world, settings, push) as made:
            await until_ranked(made.gateway)
            await read_for(made.gateway, 0.3)
            yield made


SCENE = Scene("values", opened)
attack = SCENE.attack


async def asked(field: Field, name: str, spoil: Spoil | None, path: str = "") -> httpx.Response:
    """The answer of `name` alone, which sends what `spoil` makes: its rivals are out."""
    category = CATEGORY.get(name, "news")
    world = field.world
    world.faults = {rival: "http500" for rival in all_rivals(category) if rival != name}
    world.spoilt = {name: spoil} if spoil else {}
    calls = world.calls[name]
    for _ in range(25):
        answer = await field.gateway.client.get(path or QUESTIONS[category][0])
        if world.calls[name] > calls:
            break
        await asyncio.sleep(0.06)
    world.spoilt, world.faults = {}, {}
    return answer


def outcome_of(answer: httpx.Response, name: str) -> str:
    """What became of the call to this provider, by `meta.tried` or by the problem."""
    body = answer.json()
    tried = body.get("meta", {}).get("tried") or body.get("providers") or []
    return next(
        (one.get("outcome") or one.get("reason") for one in tried if one["provider"] == name),
        f"not asked ({answer.status_code})",
    )


async def expect_taken(
    field: Field, tally: Tally, name: str, spoil: Spoil, what: str, path: str = ""
) -> httpx.Response:
    """The rest of the answer is taken, and is what readers get."""
    answer = await asked(field, name, spoil, path)
    outcome = outcome_of(answer, name)
    tally.tries += 1
    tally.expect(outcome == "ok", f"{name}, {what}: {outcome}")
    if outcome != "ok":  # a question that failed rests for a second
        await asyncio.sleep(1.1)
    return answer


def finite(text: bytes) -> bool:
    """Whether every number in the JSON is one."""

    def refuse(word: str) -> float:
        raise ValueError(word)

    def number(word: str) -> float:
        found = float(word)
        if not math.isfinite(found):
            raise ValueError(word)
        return found

    try:
        json.loads(text, parse_constant=refuse, parse_float=number)
    except ValueError:
        return False
    return True
