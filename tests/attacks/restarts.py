"""E: restarts and state. What was spent or forbidden stays so; absurd figures are set aside."""

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.attacks.attack import Scene, Tally
from tests.attacks.ground import Camp, folder, look_for_traces
from tests.attacks.providers import Hostile
from tests.life.process import Gateway, running

STATE = "state/gateway.sqlite"
DEMO = "CG-demo-key-of-the-world-1"
#: Answers are asked for anew; cooldowns are as ever.
SETTINGS = {
    "STATE_PATH": STATE,
    "CACHE_TTL_MARKET": "0.05",
    "CACHE_TTL_NEWS": "0.05",
    "CACHE_TTL_GAS": "0.05",
    "ETHERSCAN_API_KEY": "bad-key-1",
    "NEWSAPI_API_KEY": "bad-key-2",
}
#: Who is banned or refused in the first life, and what that is called.
FORBIDDEN = {"binance": "rate_limited", "etherscan": "auth_failed", "newsapi": "auth_failed"}


@dataclass
class Lives(Camp):
    """A gateway was killed in its first life: `first` is its folder, as it was left."""

    first: Path = Path()

    def copy(self) -> Path:
        """The folder of another life after that one."""
        path = self.new_folder()
        shutil.copytree(self.first / "state", path / "state")
        return path


@asynccontextmanager
async def opened() -> AsyncIterator[Lives]:
    async with folder() as path, Hostile() as world:
        world.faults["binance"] = "418"
        first = path / "first"
        first.mkdir()
        async with running(first, **world.environment(**SETTINGS)) as gateway:
            await ask(gateway, 3)
            gateway.process.kill()
            await gateway.process.wait()
        yield Lives(world, path, first=first)


SCENE = Scene("restarts", opened)
attack = SCENE.attack


async def ask(gateway: Gateway, times: int) -> None:
    for _ in range(times):
        for path in ("/api/market?limit=1", "/api/gas", "/api/news?limit=1"):
            await gateway.client.get(path)
        await asyncio.sleep(0.06)


async def states(gateway: Gateway) -> dict[str, str]:
    told = (await gateway.client.get("/api/status")).json()["providers"]
    return {one["name"]: one["status"] for one in told}


@attack(
    "E1",
    "kills and restarts within a minute of keyless CoinGecko's five calls, and within bans",
    loss="a call over a limit, a call to who has banned us or refused our key",
)
async def restarts(lives: Lives, tally: Tally) -> None:
    world = lives.world
    before = {name: world.calls[name] for name in FORBIDDEN}
    tally.expect(all(before.values()), f"not all were asked in the first life: {before}")
    path = lives.copy()
    for _ in range(tally.times(3, 1)):
        async with running(path, **lives.settings(**SETTINGS)) as gateway:
            await ask(gateway, 3)
            found = await states(gateway)
            look_for_traces(gateway, 0, tally)
            gateway.process.kill()
            await gateway.process.wait()
        tally.tries += 1
        for name, wanted in FORBIDDEN.items():
            tally.expect(found[name] == wanted, f"{name} is {found[name]} after a restart")
    for name, calls in before.items():
        more = world.calls[name] - calls
        tally.expect(not more, f"{more} calls to {name} after its ban")
    tally.losses += [f"over a limit: {one}" for one in world.overruns]
    tally.note(f"CoinGecko was asked {world.calls['coingecko_free']} times in all")
    world.overruns.clear()


def of_next_year(state: sqlite3.Connection) -> None:
    next_year = int(time.time() // 60) + 525_600
    state.execute("REPLACE INTO calls VALUES ('coingecko_free/demo/month', ?, 46)", (next_year,))
    state.execute(
        "UPDATE life SET known_since = known_since + 31536000, seen_at = seen_at + 31536000"
    )


def of_minute_2_60(state: sqlite3.Connection) -> None:
    state.execute("REPLACE INTO calls VALUES ('coingecko_free/demo/month', ?, 1)", (2**60,))
    state.execute("REPLACE INTO calls VALUES ('coingecko_free/demo/month', ?, 1)", (-(2**60),))


def of_negative_amounts(state: sqlite3.Connection) -> None:
    now = int(time.time() // 60)
    state.execute("REPLACE INTO calls VALUES ('coingecko_free/demo/month', ?, ?)", (now, -(10**15)))
    state.execute("REPLACE INTO calls VALUES ('coingecko_free/demo/month', ?, ?)", (now - 1, 2**62))


def of_other_types(state: sqlite3.Connection) -> None:
    """Whatever SQLite lets stand in a column."""
    for table in ("calls", "answers", "blocks", "life"):
        columns = [row[1] for row in state.execute(f"PRAGMA table_info({table})") if not row[5]]
        for column, value in zip(
            columns, ("x\x00y", b"\xff" * 9, 1e308, "-inf", 2**62), strict=False
        ):
            with suppress(sqlite3.Error):
                state.execute(f"UPDATE {table} SET {column} = ?", (value,))  # noqa: S608 - our names


def of_eternal_blocks(state: sqlite3.Connection) -> None:
    """Bans that last for ever, and one of nobody."""
    state.execute("UPDATE blocks SET until_s = 1e18")
    state.execute("REPLACE INTO blocks VALUES ('nobody', 'nonsense', 'x', 9e99, 7, -1)")
    state.execute("UPDATE answers SET stored_at = 1e18")


def all_of_them(state: sqlite3.Connection) -> None:
    for spoil in (of_next_year, of_minute_2_60, of_negative_amounts, of_eternal_blocks):
        spoil(state)


@attack(
    "E2",
    "a sound state file of next year, of minute 2^60, of negative amounts, of endless bans",
    loss="no start within 20 s, no answer, a traceback, a provider that is not asked",
)
async def absurd_figures(lives: Lives, tally: Tally) -> None:
    spoils: tuple[Callable[[sqlite3.Connection], None], ...] = (
        all_of_them,
        of_other_types,
        of_eternal_blocks,
        of_next_year,
        of_minute_2_60,
    )
    lives.world.good_keys["coingecko_free"] = DEMO
    lives.world.limits["coingecko_free"] = (30, 60.0)
    for spoil in spoils[: tally.times(5, 1)]:
        path = lives.copy()
        with closing(sqlite3.connect(path / STATE)) as state:
            spoil(state)
            state.execute("DELETE FROM answers")  # so that there is something to ask
            state.commit()
        asked = lives.world.calls["coingecko_free"]
        what = spoil.__name__.replace("_", " ")
        async with serving(lives, path, tally, what, COINGECKO_FREE_API_KEY=DEMO) as gateway:
            if gateway is None:
                continue
            answer = await gateway.client.get("/api/market?limit=1")
            tally.expect(answer.status_code == 200, f"{what}: {answer.status_code}")
            more = lives.world.calls["coingecko_free"] - asked
            tally.expect(more, f"{what}: CoinGecko was not asked")


@asynccontextmanager
async def serving(
    lives: Camp, path: Path, tally: Tally, what: str, **settings: str
) -> AsyncIterator[Gateway | None]:
    """A gateway in this folder, or None where it does not start; it ends by SIGTERM, quickly."""
    tally.tries += 1
    try:
        async with asyncio.timeout(20):
            context = running(path, **lives.settings(**(SETTINGS | settings)))
            gateway = await context.__aenter__()
    except (AssertionError, TimeoutError) as error:
        tally.losses.append(f"{what}: no start ({str(error)[-80:]!r})")
        yield None
        return
    try:
        yield gateway
        end = await gateway.stop()
        tally.expect(
            end.code == 0 and end.took_s < 6,
            f"{what}: ended with {end.code} after {end.took_s:.1f} s",
        )
        look_for_traces(gateway, 0, tally)
    finally:
        await context.__aexit__(None, None, None)


def pipe_for_logs(path: Path) -> None:
    (path / "logs").mkdir()
    for name in ("provider_health", "provider_failures", "provider_rotation"):
        os.mkfifo(path / "logs" / f"{name}.log")


def pipe_for_state(path: Path) -> None:
    shutil.rmtree(path / "state")
    (path / "state").mkdir()
    os.mkfifo(path / STATE)


def a_folder_for_a_log(path: Path) -> None:
    (path / "logs" / "provider_health.log").mkdir(parents=True)


def a_file_for_the_folder(path: Path) -> None:
    (path / "logs").write_text("a file")


def everything_odd(path: Path) -> None:
    pipe_for_logs(path)
    pipe_for_state(path)


@attack(
    "E2",
    "named pipes, folders and a loop of links in place of logs and state",
    loss="no start within 20 s, no answer, no warning, a traceback, no end within 6 s",
)
async def odd_files(lives: Lives, tally: Tally) -> None:
    def a_loop(path: Path) -> None:
        (path / "logs").mkdir()
        (path / "logs" / "provider_health.log").symlink_to("provider_health.log")

    kinds: tuple[Callable[[Path], Any], ...] = (
        everything_odd,
        pipe_for_logs,
        a_folder_for_a_log,
        a_file_for_the_folder,
        a_loop,
    )
    for spoil in kinds[: tally.times(5, 1)]:
        path = lives.copy()
        spoil(path)
        what = spoil.__name__.replace("_", " ")
        async with serving(lives, path, tally, what) as gateway:
            if gateway is None:
                continue
            answer = await gateway.client.get("/api/sentiment")
            tally.expect(answer.status_code == 200, f"{what}: {answer.status_code}")
            await asyncio.sleep(0.2)
            told = [word in gateway.output for word in ("WARNING", "LOG_DIR", "provider_health")]
            tally.expect(any(told), f"{what}: no warning")
