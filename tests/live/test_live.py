"""The live check, against the loopback providers of tests/world."""

import asyncio
from pathlib import Path

import pytest

from backend.providers.registry import REGISTRY
from tests.live.__main__ import compare
from tests.live.conftest import Ask, ChangingWorld, of
from tests.live.loopback import DEAD, NAMES, environment
from tests.live.report import table
from tests.live.row import DISABLED, NOT_ASKED, NOT_CONFIGURED, OK
from tests.live.shapes import NOTHING, read_shapes
from tests.world.data import FAMOUS
from tests.world.server import PROVIDERS

PRICE = next(row[3] for row in FAMOUS if row[0] == "bitcoin")
#: What the world's providers do not have.
MISSING = {"coingecko_pro ohlc_range 1h"}


async def test_every_operation_of_every_provider_is_well(ask: Ask, world: ChangingWorld) -> None:
    rows = await ask()
    asked = [row for row in rows if row.provider in PROVIDERS and row.key not in MISSING]
    unserved = [row for row in asked if row.outcome == NOT_ASKED]
    assert {tuple(row.notes) for row in unserved} <= {("not part of this plan",)}
    others = [row for row in asked if row.outcome != OK and row not in unserved]
    assert [row for row in others if not row.operation.startswith("push ")] == []
    assert [row.key for row in asked if row.has_failed] == []
    operations = {(spec.name, one.name) for spec in REGISTRY for one in spec.adapter.operations}
    covered = {(row.provider, row.operation.partition(" ")[0]) for row in rows}
    assert {name for name in operations if name[0] in PROVIDERS} <= covered
    assert world.overruns == []


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


def test_recorded_shapes_are_of_providers_of_the_registry() -> None:
    names = {key.partition(" ")[0] for key in read_shapes(Path(__file__).with_name("shapes.json"))}
    assert names <= set(NAMES)
