"""Where providers send bytes that none should send, while their rivals are well."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle

from tests.attacks.attack import Scene, Tally
from tests.attacks.ground import RESTLESS, Field, field_of, folder, until_ranked
from tests.attacks.providers import KEYS, ByTls, Hostile, Sent, Spoil, by_tls, write_authority
from tests.attacks.reading import QUESTIONS, Seen, read_for
from tests.world.messages import Reply, Request, encoded
from tests.world.server import WITH_SECOND_INDEX

#: A seed of its own, so that what was found can be found again.
SEED = 15
LOSS = (
    "a reader who got no right answer from the rivals, a traceback, a provider that is not asked "
    "again once it is well"
)


@dataclass(frozen=True)
class Round:
    """Who sends bad answers at the same time, and who is out meanwhile so that they are asked."""

    victims: tuple[str, ...]
    out: tuple[str, ...] = ()


#: Who answers for each other. All feeds are asked at once: they are not rivals.
RIVALS = {
    "market": ("coingecko_free", "binance"),
    "sentiment": ("alternative_me", "coinmarketcap"),
    "gas": ("etherscan", "etherscan_backup", "ethereum_rpc"),
    "news": (),
}
#: Providers of another category that answer here, too, while all rivals fail.
SUBSTITUTES = {"market": ("coinmarketcap",)}
#: Of those that have rivals.
CATEGORY = {name: category for category, rivals in RIVALS.items() for name in rivals}
#: After so many good answers a failure is history to the gateway.
STEADY_AFTER = 10
#: It is there for TLS only; else it would be asked in the place of the others.
ASIDE = {"etherscan_backup": "http500"}
OUT = "etherscan", "alternative_me"
#: In each category a rival is well, but in the first one, where old answers may say that they are.
#: Whoever failed twice in a round comes last for twice the time between: no round is like the one
#: before.
ROUNDS = (
    Round(("newsapi", "rss_theblock", "ethereum_rpc", "coinmarketcap"), OUT),
    Round(("binance", "rss_decrypt", "cryptopanic")),
    Round(("coingecko_free", "rss_coindesk", "alternative_me", "etherscan")),
)


#: In the short form one of these and one feed are attacked, each time others.
IN_TURN = cycle(
    Round(pair)
    for pair in (
        ("coingecko_free", "rss_coindesk"),
        ("alternative_me", "rss_decrypt"),
        ("etherscan", "cryptopanic"),
        ("binance", "rss_theblock"),
    )
)


@dataclass
class WireField(Field):
    """Two of the providers speak TLS."""

    tls: tuple[ByTls, ...] = ()


@asynccontextmanager
async def opened() -> AsyncIterator[WireField]:
    async with (
        Hostile() as world,
        folder() as path,
        by_tls(world, "rss_cointelegraph") as one,
        by_tls(world, "etherscan_backup") as other,
    ):
        settings = {
            **world.unlimited(),
            **KEYS,
            **RESTLESS,
            **WITH_SECOND_INDEX,
            "PROVIDER_TIMEOUT": "2",
            "RSS_COINTELEGRAPH_BASE_URL": one.url,
            "ETHERSCAN_BACKUP_BASE_URL": other.url,
            "ETHERSCAN_BACKUP_API_KEY": "etherscan-key-2",
            "ETHERSCAN_BACKUP_SHARES_ACCOUNT": "false",
            "SSL_CERT_FILE": write_authority(path),
        }
        async with field_of(world, settings) as made:
            await until_ranked(made.gateway)
            await read_for(made.gateway, 0.3)  # each category has been answered once
            world.faults = dict(ASIDE)
            yield WireField(made.world, made.gateway, made.folder, tls=(one, other))


SCENE = Scene("the wire", opened)
attack = SCENE.attack


async def play(field: WireField, tally: Tally, spoil: Spoil, each: int) -> Seen:
    """Every provider sends at least `each` bad answers, and is then well again."""
    total = Seen()
    for one in (next(IN_TURN),) if tally.is_quick else ROUNDS:
        seen = await play_round(field, tally, spoil, each, one)
        total.answers += seen.answers
        total.wrong += seen.wrong
        total.slowest_ms = max(total.slowest_ms, seen.slowest_ms)
        total.last |= seen.last
    total.tell(tally)
    return total


async def play_round(field: WireField, tally: Tally, spoil: Spoil, each: int, one: Round) -> Seen:
    """`each` bad answers of every victim; of one that has rivals two, or it would come last."""
    world = field.world
    due = {name: each if CATEGORY.get(name) is None else min(each, 2) for name in one.victims}
    world.faults = ASIDE | dict.fromkeys(one.out, "http500")
    world.spoilt = {name: first(count, spoil) for name, count in due.items()}
    world.sent.clear()
    seen = await read_for(
        field.gateway,
        6.0,
        categories_of(one.victims),
        stale=bool(one.out),
        until=lambda: all(world.sent[name] >= count for name, count in due.items()),
    )
    for name, count in due.items():
        tally.tries += min(world.sent[name], count)
        tally.expect(world.sent[name], f"{name} was not asked: the attack did not reach it")
    for names in (one.victims, one.out):
        await heal(field, tally, names)
    return seen


def first(count: int, spoil: Spoil) -> Spoil:
    """So many answers are spoilt, and those behind them are good."""
    numbers = iter(range(count))

    def send(request: Request, reply: Reply) -> Sent:
        is_bad = next(numbers, None) is not None
        return spoil(request, reply) if is_bad else Sent(encoded(reply))

    return send


def all_rivals(category: str) -> tuple[str, ...]:
    return (*RIVALS[category], *SUBSTITUTES.get(category, ()))


async def heal(field: Field, tally: Tally, victims: tuple[str, ...]) -> None:
    """Whoever sent bad answers is asked and believed again, now that its rivals are out. Ten good
    answers in a row, and its failures are history: the next attack finds it steady."""
    if not victims:
        return
    world, categories = field.world, categories_of(victims)
    rivals = {name for category in categories for name in all_rivals(category)}
    world.spoilt, world.faults = {}, dict.fromkeys(rivals - {*victims}, "http500")
    states = await until_active(field, victims, categories)
    for category in categories:
        for _ in range(STEADY_AFTER if RIVALS[category] else 0):
            await field.gateway.client.get(QUESTIONS[category][0])
    world.faults = dict(ASIDE)
    for name in victims:
        tally.expect(states[name] == "active", f"{name} is {states[name]} after it healed")
    await asyncio.sleep(0.15)  # the rivals are eligible again


async def until_active(
    field: Field, victims: tuple[str, ...], categories: list[str]
) -> dict[str, str]:
    """What the providers are called once all of these were asked again, or in the end."""
    calls, before = field.world.calls, field.world.calls.copy()
    states: dict[str, str] = dict.fromkeys(victims, "not asked again")
    for _ in range(60):
        for category in categories:
            await field.gateway.client.get(QUESTIONS[category][0])
        if all(calls[name] > before[name] for name in victims):
            status = (await field.gateway.client.get("/api/status")).json()
            states = {told["name"]: told["status"] for told in status["providers"]}
            if all(states[name] == "active" for name in victims):
                break
        await asyncio.sleep(0.02)
    return states


def categories_of(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(CATEGORY.get(name, "news") for name in names))
