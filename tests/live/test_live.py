"""The live check, against the loopback providers of tests/world."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from backend.gateway import read_configuration
from backend.identity.instruments import guessed_instruments
from backend.providers.adapter import ProviderSpec
from backend.providers.registry import REGISTRY
from backend.providers.vendors import kraken, kraken_stream
from backend.settings import load_configuration
from tests.life.process import started
from tests.live import listen
from tests.live.__main__ import compare
from tests.live.loopback import DEAD, NAMES, environment, nowhere
from tests.live.report import summary, table
from tests.live.row import DISABLED, NOT_ASKED, NOT_CONFIGURED, OK, Row
from tests.live.run import run
from tests.live.shapes import NOTHING, read_shapes
from tests.world.data import FAMOUS
from tests.world.kraken_push import KrakenPushWorld, iso, ticker_told
from tests.world.messages import Reply, Request, json_reply
from tests.world.push import PushWorld, candle_told, mini_ticker, now_ms
from tests.world.server import PROVIDERS, World

PRICE = next(row[3] for row in FAMOUS if row[0] == "bitcoin")
#: What the world's providers do not have.
MISSING = {"coingecko_pro ohlc_range 1h"}
STREAM = ("push tickers", "push candles 1m")

Ask = Callable[..., Awaitable[list[Row]]]


class ChangingWorld(World):
    """`changed` are rewritten: each row of their lists loses and gains a field."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: dict[str, str] = {}

    def _reply(self, name: str, request: Request, fault: str) -> Reply:
        reply = super()._reply(name, request, fault)
        rows: list[dict[str, Any]] = json.loads(reply.body) if name in self.changed else []
        if not rows or not isinstance(rows[0], dict):
            return reply
        lost = self.changed[name]
        kept = [{key: value for key, value in row.items() if key != lost} for row in rows]
        return json_reply([row | {"novelty": {"is": True}} for row in kept])


@pytest.fixture
async def world() -> AsyncIterator[ChangingWorld]:
    async with ChangingWorld() as made:
        yield made


@pytest.fixture
def ask(world: ChangingWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """Checks the providers of `names`, or all, with the settings of the world and further ones."""

    async def asked(
        *names: str, push: PushWorld | None = None, longest_s: float = 50, **settings: str
    ) -> list[Row]:
        monkeypatch.chdir(tmp_path)  # no .env of the developer
        for name, value in (environment(world, push) | settings).items():
            monkeypatch.setenv(name, value)
        specs = [spec for spec in REGISTRY if spec.name in (names or NAMES)]
        return await run(read_configuration(), specs, longest_s=longest_s)

    return asked


@asynccontextmanager
async def repeating(tell: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    async def forever() -> None:
        while True:
            with suppress(ConnectionClosed):
                await tell()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(forever())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def binance_stream() -> AsyncIterator[PushWorld]:
    """Binance's stream with a ticker and a candle of Bitcoin, over and over."""
    async with PushWorld() as push:

        async def tell() -> None:
            await push.tell_tickers([mini_ticker("BTCUSDT", PRICE)])
            minute = now_ms() - now_ms() % 60_000
            await push.tell_candle(candle_told("BTCUSDT", "1m", minute, PRICE))

        async with repeating(tell):
            yield push


async def printed(folder: Path, *arguments: str, **settings: str) -> tuple[int | None, str]:
    """The exit code and the output of the command."""
    async with started(folder, "-m", "tests.live", *arguments, **settings) as process:
        code = await asyncio.wait_for(process.wait(), 50)
    return code, (folder / "output.txt").read_text(encoding="utf-8")


def of(rows: list[Row], provider: str, operation: str = "") -> Row:
    found = [row for row in rows if row.provider == provider]
    return next(row for row in found if row.operation.startswith(operation))


async def test_every_operation_of_every_provider_is_well(ask: Ask, world: ChangingWorld) -> None:
    async with binance_stream() as push:
        rows = await ask(push=push)
    asked = [row for row in rows if row.provider in PROVIDERS and row.key not in MISSING]
    unserved = [row for row in asked if row.outcome == NOT_ASKED]
    assert {tuple(row.notes) for row in unserved} <= {("not part of this plan",)}
    others = [row for row in asked if row.outcome != OK and row not in unserved]
    assert [row for row in others if row.operation not in STREAM] == []
    assert [row.key for row in asked if row.has_failed] == []
    operations = {(spec.name, one.name) for spec in REGISTRY for one in spec.adapter.operations}
    covered = {(row.provider, row.operation.partition(" ")[0]) for row in rows}
    assert {name for name in operations if name[0] in PROVIDERS} <= covered
    assert world.overruns == []
    assert all(of(rows, "binance", name).outcome == OK for name in STREAM)


async def test_a_row_says_what_the_answer_cost(ask: Ask) -> None:
    row = of(await ask("coinbase"), "coinbase")
    assert (row.status, row.outcome) == (200, OK)
    assert row.bitcoin == pytest.approx(PRICE, rel=0.1)
    assert row.ms is not None
    assert 0 < row.ms < 10_000
    assert row.size > 1_000
    assert 0 < row.share < 1
    assert row.rows > 10


async def test_a_changed_shape_is_named_and_is_no_failure(
    ask: Ask, world: ChangingWorld, tmp_path: Path
) -> None:
    path = tmp_path / "shapes.json"
    rows = await ask("binance", "alternative_me")
    compare(rows, path, accept=False)
    assert of(rows, "binance", "ticker").notes == [NOTHING]
    assert not path.exists()
    compare(await ask("binance", "alternative_me"), path, accept=True)
    again = await ask("binance", "alternative_me")
    compare(again, path, accept=False)
    assert [row.notes for row in again if row.outcome == OK] == [[], [], []]
    world.changed["binance"] = "firstId"
    changed = await ask("binance")
    compare(changed, path, accept=False)
    row = of(changed, "binance", "ticker")
    assert row.notes == ["gone $[].firstId (number)", "new $[].novelty (object)"]
    assert not row.has_failed
    compare(await ask("alternative_me"), path, accept=True)
    assert set(read_shapes(path)) == {
        "binance ticker_24hr",
        "binance klines 1h",
        "alternative_me fng",
    }


async def test_no_value_is_recorded(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "shapes.json"
    compare(await ask("binance", "newsapi", "rss_decrypt"), path, accept=True)
    words = {word for shape in read_shapes(path).values() for word in shape.values()}
    types = {type_ for word in words for type_ in word.split("|")}
    assert types <= {"object", "array", "string", "number", "boolean", "null", "element"}
    assert "BTC" not in path.read_text(encoding="utf-8")


async def test_a_malformed_answer_is_a_failure(ask: Ask, world: ChangingWorld) -> None:
    world.faults = {"coinbase": "renamed", "newsapi": "html"}
    rows = await ask("coinbase", "bitstamp", "newsapi")
    assert {row.key for row in rows if row.has_failed} == {
        "coinbase stats",
        "newsapi everything",
    }
    row = of(rows, "coinbase", "stats")
    assert (row.outcome, row.status) == ("bad_payload", 200)
    assert "parse_stats" in row.notes[0]


async def test_an_unknown_path_is_a_failure(ask: Ask) -> None:
    row = of(await ask("coingecko_pro"), "coingecko_pro", "ohlc_range")
    assert (row.outcome, row.status, row.has_failed) == ("unsupported", 404, True)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [("451", "geo_blocked"), ("429", "rate_limited"), ("401", "auth_failed"), ("reset", "")],
)
async def test_blocks_limits_and_bad_keys_are_no_failures(
    ask: Ask, world: ChangingWorld, fault: str, outcome: str
) -> None:
    world.faults = {"coingecko_free": fault}
    rows = [row for row in await ask("coingecko_free") if row.outcome != NOT_ASKED]
    assert {row.outcome for row in rows} == {outcome or "connect_error"}
    assert [row for row in rows if row.has_failed] == []
    assert world.calls["coingecko_free"] == 1
    assert [row.notes for row in rows[1:]] == [["not called again"]] * (len(rows) - 1)


async def test_a_price_unlike_that_of_the_others_is_a_failure(
    ask: Ask, world: ChangingWorld
) -> None:
    world.faults = {"bitstamp": "times_1000_all"}
    rows = await ask("coinbase", "binance", "bitstamp")
    row = of(rows, "bitstamp", "tickers")
    assert row.has_failed
    assert row.outcome == "bad_payload" or "others have" in row.problems[0]
    assert not of(rows, "coinbase").has_failed


async def test_each_independent_host_is_asked(ask: Ask, world: ChangingWorld) -> None:
    urls = f"{world.url('ethereum_rpc')},http://{DEAD},{world.url('ethereum_rpc_second')}"
    rows = await ask("ethereum_rpc", ETHEREUM_RPC_BASE_URL=urls)
    assert [row.outcome for row in rows] == [OK, "connect_error", OK]
    assert rows[1].provider == f"ethereum_rpc @ {DEAD}"
    assert (world.calls["ethereum_rpc"], world.calls["ethereum_rpc_second"]) == (1, 1)


async def test_the_limits_of_a_provider_are_respected(ask: Ask, world: ChangingWorld) -> None:
    settings = environment(world) | {"ETHERSCAN_LIMITS": "1/second"}
    world.limits["etherscan"] = (1, 1.0)
    began = asyncio.get_running_loop().time()
    rows = await ask("etherscan", **settings)
    assert [row.outcome for row in rows] == [OK, OK]
    assert asyncio.get_running_loop().time() - began >= 1.0
    assert world.overruns == []


async def test_a_run_ends_in_time(ask: Ask, world: ChangingWorld) -> None:
    world.faults = {"coinbase": "silence"}
    rows = await ask("coinbase", "bitstamp", longest_s=0.5)
    assert {row.outcome for row in rows if row.provider == "coinbase"} == {NOT_ASKED}
    assert of(rows, "coinbase").notes == ["no time left within 0.5 s"]
    assert of(rows, "bitstamp", "tickers").outcome == OK


async def test_missing_keys_and_switches_are_named(ask: Ask) -> None:
    rows = await ask("newsapi", "bitstamp", NEWSAPI_API_KEY="", BITSTAMP_ENABLED="false")
    assert [(row.provider, row.outcome, row.notes) for row in rows] == [
        ("bitstamp", DISABLED, ["switched off"]),
        ("newsapi", NOT_CONFIGURED, ["needs NEWSAPI_API_KEY"]),
    ]


async def test_no_key_is_printed(ask: Ask, world: ChangingWorld) -> None:
    world.revoked = {"etherscan", "newsapi", "coingecko_pro"}
    rows = await ask()
    text = table(rows, markdown=False) + table(rows, markdown=True)
    assert of(rows, "etherscan").outcome == "auth_failed"
    assert [key for key in world.good_keys.values() if key in text] == []


async def test_a_silent_stream_is_a_failure_and_a_blocked_one_is_none(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "TICK_S", 0.3)
    async with PushWorld() as push:
        silent = await ask("binance", push=push)
        push.status = 451
        blocked = await ask("binance", push=push)
    row = of(silent, "binance", "push tickers")
    assert row.has_failed
    assert row.notes == ["no tick within 0.3 s, 0 other frames"]
    assert [of(blocked, "binance", name).outcome for name in STREAM] == ["geo_blocked"] * 2
    assert not of(blocked, "binance", "push").has_failed


async def test_a_stream_without_subscriptions_in_its_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = ProviderSpec(
        "kraken", kraken.ADAPTER, keyless=kraken.PUBLIC, push=kraken_stream.PUSH_FEED
    )
    monkeypatch.chdir(tmp_path)
    async with KrakenPushWorld() as push:

        async def tell() -> None:
            await push.tell_ticker(ticker_told("BTC/USD", PRICE))
            begun = datetime.now(UTC).replace(second=0, microsecond=0)
            figures = dict.fromkeys(("open", "high", "low", "close"), PRICE)
            row = {"symbol": "BTC/USD", **figures, "volume": 1.5, "vwap": PRICE, "trades": 3}
            await push.tell_ohlc(row | {"interval": 1, "interval_begin": iso(begun)})

        monkeypatch.setenv("KRAKEN_BASE_URL", f"http://{DEAD}")
        monkeypatch.setenv("KRAKEN_STREAM_URL", push.url)
        async with repeating(tell):
            rows = await run(load_configuration(["kraken"]), [spec])
    streamed = [row for row in rows if row.operation in STREAM]
    assert [(row.outcome, row.bitcoin, row.problems) for row in streamed] == [(OK, PRICE, [])] * 2
    assert guessed_instruments("BTC")


async def test_the_command_ends_well_without_internet(tmp_path: Path) -> None:
    code, text = await printed(tmp_path, **nowhere())
    assert code == 0, text
    assert text.splitlines()[-1].startswith("Nothing could be reached")
    outcomes = {line.split()[2] for line in text.splitlines() if " @ " not in line and line}
    assert "connect_error" in text
    assert "ok" not in outcomes


async def test_the_exit_code_and_the_table_of_the_command(
    world: ChangingWorld, tmp_path: Path
) -> None:
    only = ("--only", "coinbase", "binance", "--markdown", "--shapes", str(tmp_path / "s.json"))
    settings = environment(world) | {"BINANCE_STREAM_URL": ""}
    code, text = await printed(tmp_path, *only, "--accept", **settings)
    assert code == 0, text
    assert text.startswith("| provider | operation | outcome |")
    assert set(read_shapes(tmp_path / "s.json")) == {
        *("binance ticker_24hr", "binance klines 1h", "coinbase stats", "coinbase candles 1h")
    }
    world.faults = {"coinbase": "renamed"}
    (tmp_path / "output.txt").unlink()
    code, text = await printed(tmp_path, *only, **settings)
    assert code == 1, text
    assert "| coinbase | stats | FAILED bad_payload | 200 |" in text


def test_the_last_line_counts_the_outcomes() -> None:
    rows = [Row("a", "b", OK), Row("a", "c", "bad_payload"), Row("a", "d"), Row("e", "f", OK)]
    assert summary(rows) == "2 ok, 1 failed, 1 not_asked\n"
    assert summary([Row("a", "b", "timeout"), Row("c", "d")]).startswith("Nothing could be")
    assert summary([Row("a", "b", "timeout"), Row("c", "d", "geo_blocked")]).startswith("1 geo")


def test_recorded_shapes_are_of_providers_of_the_registry() -> None:
    names = {key.partition(" ")[0] for key in read_shapes(Path(__file__).with_name("shapes.json"))}
    assert names <= set(NAMES)
