"""The recipes of docs/recipes.md, each by the means of its program.

pandas is the real one. Google's servers, Grafana's plugin, Home Assistant, ccxt and freqtrade are
not available here, so the tests do what those programs do with a recipe: fetch, select, render.
The parts of Home Assistant and freqtrade were compared with the real programs once, by hand. ccxt
itself runs in CI (tests/clients), with the settings of its recipe.
"""

import ast
import asyncio
import csv
import io
import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tests.dashboard.scenery import Scenery
from tests.deploy.dashboards import dashboard
from tests.life.process import Gateway
from tests.readme.document import ADDRESS, recipe


async def test_pandas(gateway: Gateway) -> None:
    program = recipe("pandas").replace(ADDRESS, f"127.0.0.1:{gateway.port}")
    checked = program + (
        "assert len(market) == 250 and market['price'].dtype == 'float64'\n"
        "assert str(weekly.index.dtype).endswith('UTC]') and len(weekly) >= 52\n"
        "assert weekly['high'].max() >= weekly['close'].max() > 0\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", checked),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    assert "bitcoin" in output.decode()


async def test_google_sheets(gateway: Gateway) -> None:
    """A sheet takes what is between commas for a number if it is one, and `=` for a formula."""
    (url,) = re.findall(
        r'IMPORTDATA\("https://YOUR-GATEWAY(/[^"]+)", ",", "en_US"\)', recipe("sheets")
    )
    answer = await gateway.client.get(url, headers={"User-Agent": "GoogleDocs"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    header, *rows = list(csv.reader(io.StringIO(answer.text), strict=True))
    assert (len(rows), {len(row) for row in rows}) == (100, {len(header)})
    prices = [float(row[header.index("price")]) for row in rows]
    assert min(prices) > 0
    assert [cell for row in rows for cell in row if cell.startswith(("=", "+", "@"))] == []


#: What Infinity does with a cell of a column, by the column's type.
INFINITY: dict[str, Callable[[Any], Any]] = {
    "timestamp_epoch": lambda ms: datetime.fromtimestamp(ms / 1_000, UTC),
    "timestamp": datetime.fromisoformat,
    "number": float,
    "string": str,
}


async def infinity_rows(
    gateway: Gateway, query: Mapping[str, Any], variables: Mapping[str, str]
) -> list[list[Any]]:
    """Infinity puts the variables in, fetches, goes to the root, and reads each column by its type.
    An object at the root is one row; null is an empty cell, but no column has only these."""
    url = query["url"]
    for name, value in variables.items():
        url = url.replace(f"${{{name}}}", value)
    assert "$" not in url
    answer = await gateway.client.get(url.partition(ADDRESS)[2])
    assert answer.status_code == 200, answer.text
    root = answer.json()[query["root_selector"]]
    rows = root if isinstance(root, list) else [root]
    columns = [(one["selector"], INFINITY[one["type"]]) for one in query["columns"]]
    for selector, _ in columns:
        assert any(row[selector] is not None for row in rows), selector
    return [
        [None if row[selector] is None else read(row[selector]) for selector, read in columns]
        for row in rows
    ]


async def test_grafana(gateway: Gateway) -> None:
    now = int(time.time() * 1_000)
    day = {"__from": str(now - 86_400_000), "__to": str(now)}
    rows = await infinity_rows(gateway, json.loads(recipe("grafana")), day)
    assert 24 <= len(rows) <= 25
    for at, price in rows:
        assert now - 90_000_000 < at.timestamp() * 1_000 <= now
        assert price > 0


async def test_the_dashboard_for_grafana(gateway: Gateway) -> None:
    """Each panel, with the variables as they are after the import."""
    found = dashboard("grafana-market.json")
    chosen = {one["name"]: one["current"]["value"] for one in found["templating"]["list"]}
    proposed = {one["name"]: one.get("value") for one in found["__inputs"]}
    assert chosen["gateway"] == "${VAR_GATEWAY}"
    gateway_address = proposed["VAR_GATEWAY"]
    assert gateway_address == f"http://{ADDRESS}"
    now = int(time.time() * 1_000)
    variables = {**chosen, "gateway": gateway_address, "coin:percentencode": chosen["coin"]}
    variables |= {"__from": str(now - 86_400_000), "__to": str(now)}
    counts = {
        panel["title"]: len(await infinity_rows(gateway, target, variables))
        for panel in found["panels"]
        for target in panel["targets"]
    }
    candles = counts.pop("$coin"), counts.pop("$coin, closing prices")
    assert candles in ((24, 24), (25, 25))
    assert counts == {"Whole market": 1, "Fear & Greed": 1, "Gas on Ethereum": 1, "Market": 50}


async def test_an_assistant(gateway: Gateway) -> None:
    """As a client of the revisions with a handshake: it opens, lists, and calls a tool."""
    (server,) = json.loads(recipe("mcp"))["mcpServers"].values()
    assert server["type"] == "http"
    path = server["url"].partition(ADDRESS)[2]

    async def asked(method: str, **params: Any) -> Any:
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return (await gateway.client.post(path, json=message)).json()["result"]

    version = "2025-11-25"
    assert (await asked("initialize", protocolVersion=version))["protocolVersion"] == version
    assert len((await asked("tools/list"))["tools"]) == 7
    answer = await asked("tools/call", name="get_prices", arguments={"symbols": ["BTC"]})
    (row,) = json.loads(answer["content"][0]["text"])["rows"]
    assert (row["id"], row["price"] > 0) == ("bitcoin", True)


async def test_openbb(gateway: Gateway) -> None:
    """As a page of OpenBB's: it reads the widgets, then opens the chart's datafeed."""
    address, setting = recipe("openbb").splitlines()
    origin = {"Origin": setting.partition("=")[2]}
    root = address.partition(ADDRESS)[2]

    async def asked(path: str, **parameters: str) -> Any:
        answer = await gateway.client.get(root + path, params=parameters, headers=origin)
        assert answer.headers["access-control-allow-origin"] in ("*", origin["Origin"])
        return answer.json()

    (widget,) = (await asked("/widgets.json")).values()
    assert (widget["name"], widget["type"]) == ("Crypto chart", "advanced_charting")
    symbol, feed = widget["data"]["defaultSymbol"], widget["endpoint"]
    assert "60" in (await asked(f"{feed}/config"))["supported_resolutions"]
    assert (await asked(f"{feed}/symbols", symbol=symbol))["ticker"] == "bitcoin"
    now = str(int(time.time()))
    query = {"symbol": symbol, "resolution": "60", "to": now, "from": "0", "countback": "5"}
    bars = await asked(f"{feed}/history", **query)
    assert (bars["s"], len(bars["t"])) == ("ok", 5)


#: What pycoingecko 3.2 does in the recipe: its addresses, and Python's own booleans. The real one
#: runs in the job of CI that asks by the clients of other services.
PYCOINGECKO = """
import json
from urllib.parse import urlencode
from urllib.request import urlopen

class CoinGeckoAPI:
    api_base_url = "https://api.coingecko.com/api/v3/"

    def _get(self, path, params):
        with urlopen(f"{self.api_base_url}{path}?{urlencode(params)}") as response:
            return json.loads(response.read().decode("utf-8"))

    def get_price(self, ids, vs_currencies, **params):
        params["ids"] = ",".join(ids).replace(" ", "")
        return self._get("simple/price", {**params, "vs_currencies": vs_currencies})

    def get_coins_markets(self, vs_currency, **params):
        return self._get("coins/markets", {"vs_currency": vs_currency, **params})
"""


async def test_programs_of_coingecko(gateway: Gateway, world: Scenery, tmp_path: Path) -> None:
    (tmp_path / "pycoingecko.py").write_text(PYCOINGECKO)
    program = recipe("coingecko").replace(ADDRESS, f"127.0.0.1:{gateway.port}")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", program),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(tmp_path)},
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    prices, *rows = output.decode().splitlines()
    assert set(ast.literal_eval(prices)["bitcoin"]) == {"usd", "usd_24h_change"}
    assert [row.split()[0] for row in rows] == [str(rank) for rank in range(1, 11)]
    assert world.paths["coingecko_free"].count("/api/v3/coins/markets") == 1


def ccxt_settings() -> Any:
    """The argument of the constructor."""
    (made,) = (
        node
        for node in ast.walk(ast.parse(recipe("ccxt")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "ccxt.binance"
    )
    return ast.literal_eval(made.args[0])


async def test_ccxt(gateway: Gateway) -> None:
    """It asks for the pairs of spot only, then for what the program wants."""
    settings = ccxt_settings()
    assert settings["options"]["fetchMarkets"]["types"] == ["spot"]
    root = settings["urls"]["api"]["public"].partition(ADDRESS)[2]

    async def asked(path: str) -> Any:
        answer = await gateway.client.get(f"{root}/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    pairs = {row["symbol"]: row for row in (await asked("exchangeInfo"))["symbols"]}
    assert (pairs["BTCUSDT"]["baseAsset"], pairs["BTCUSDT"]["quoteAsset"]) == ("BTC", "USDT")
    assert float((await asked("ticker/24hr?symbol=BTCUSDT"))["lastPrice"]) > 0
    candles = await asked("klines?interval=1h&limit=3&symbol=BTCUSDT")
    assert [len(row) for row in candles] == [12, 12, 12]


def test_freqtrade_has_the_settings_of_ccxt() -> None:
    exchange = json.loads(recipe("freqtrade"))["exchange"]
    assert exchange == {"name": "binance", "ccxt_config": ccxt_settings()}


def home_assistant() -> tuple[str, dict[str, Any]]:
    """The path that is asked, and the sensor."""
    (resource,) = yaml.safe_load(recipe("home-assistant"))["rest"]
    (sensor,) = resource["sensor"]
    return resource["resource"].partition(ADDRESS)[2], sensor


def rendered(template: str, **known: Any) -> str:
    """Home Assistant leaves `value_json` out where the body is no JSON."""
    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
    return environment.from_string(home_assistant()[1][template]).render(**known)


async def test_home_assistant(gateway: Gateway) -> None:
    path, sensor = home_assistant()
    answer = (await gateway.client.get(path)).json()
    price = next(one["price"] for one in answer["data"] if one["id"] == "bitcoin")
    assert float(rendered("value_template", value_json=answer)) == price
    assert rendered("availability", value_json=answer) == "True"
    assert sensor["json_attributes_path"] == "$.meta"
    assert set(sensor["json_attributes"]) <= set(answer["meta"])
    answer["meta"]["stale"] = True
    assert rendered("availability", value_json=answer) == "False"


@pytest.mark.parametrize(
    "data", [[], [{"id": "ethereum", "price": 2.0}], [{"id": "bitcoin", "price": None}]]
)
def test_home_assistant_shows_no_price_where_there_is_none(data: list[Any]) -> None:
    answer = {"data": data, "meta": {"stale": False}}
    assert rendered("availability", value_json=answer) == "False"
    assert rendered("availability") == "False"


async def test_home_assistant_shows_no_price_for_an_error(gateway: Gateway, world: Scenery) -> None:
    world.faults = {"coingecko_free": "http500", "binance": "http500"}
    answer = await gateway.client.get(home_assistant()[0])
    assert answer.status_code == 503
    assert rendered("availability", value_json=answer.json()) == "False"
