"""Clients that tools write from the OpenAPI document, and the recipes that use them: real ones."""

import json
import re
from pathlib import Path

import pytest

from tests.generated_clients.tools import ran
from tests.life.process import Gateway
from tests.readme.document import ADDRESS, recipe, text_of

pytestmark = [pytest.mark.packages, pytest.mark.timeout(600)]


def command(program: str, gateway: Gateway) -> list[str]:
    """The command of docs/recipes.md that begins with this word, for this gateway."""
    (line,) = re.findall(rf"`({program} [^`]+)`", text_of("docs/recipes.md"))
    return here(line, gateway).split()


def here(text: str, gateway: Gateway) -> str:
    assert ADDRESS in text
    return text.replace(ADDRESS, f"127.0.0.1:{gateway.port}")


def operations_in(folder: Path) -> list[str]:
    """The names of the modules of the operations, in the client that was written there."""
    found = folder.glob("crypto_client/api/*/[a-z]*.py")
    return [".".join(path.relative_to(folder).with_suffix("").parts) for path in found]


async def test_openapi_python_client(gateway: Gateway, programs: Path, tmp_path: Path) -> None:
    program, *options = command("openapi-python-client", gateway)
    said = await ran(str(programs / program), *options, folder=tmp_path, path=programs)
    assert "warning" not in said.lower()
    assert "error" not in said.lower()
    checked = here(recipe("generated-python"), gateway) + (
        "assert [coin.market_cap_rank for coin in coins] == list(range(1, 11)), coins\n"
        "assert coins[0].id == 'bitcoin' and coins[0].price > 0\n"
        "assert coins[0].last_updated.tzinfo is not None\n"
        "assert bitcoin.symbol == 'BTC' and bitcoin.price > 0\n"
        "assert len(candles) == 24 and candles[-1].high >= candles[-1].low > 0\n"
        "assert isinstance(refused, Problem) and refused.status == 404\n"
        "assert refused.code == 'unknown_symbol' and refused.request_id\n"
    )
    (tmp_path / "program.py").write_text(checked)
    output = await ran(str(programs / "python"), "-W", "error", "program.py", folder=tmp_path)
    assert "Bitcoin" in output
    assert "no coin is known as" in output


async def test_every_operation_of_the_python_client_is_a_module(
    gateway: Gateway, programs: Path, tmp_path: Path
) -> None:
    """The tool leaves out, with a warning, what it does not understand."""
    program, *options = command("openapi-python-client", gateway)
    await ran(str(programs / program), *options, folder=tmp_path, path=programs)
    document = (await gateway.client.get("/openapi.json")).json()
    ids = {one["operationId"] for item in document["paths"].values() for one in item.values()}
    names = operations_in(tmp_path)
    words = {name.rpartition(".")[2].replace("_", "") for name in names}
    assert words == {one.replace("_", "") for one in ids}  # `24hr` becomes `24_hr`
    program = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    await ran(str(programs / "python"), "-W", "error", "-c", program, *names, folder=tmp_path)


async def test_openapi_typescript(gateway: Gateway, modules: Path, tmp_path: Path) -> None:
    """The compiler checks the recipe against the types, strictly; then it asks the gateway."""
    (tmp_path / "node_modules").symlink_to(modules / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    npx, program, *options = command("npx openapi-typescript", gateway)
    await ran(npx, "--no-install", program, *options, folder=tmp_path)
    checked = here(recipe("generated-typescript"), gateway) + (
        "console.log(JSON.stringify([market.data.length, candles.data.length, error]));\n"
    )
    (tmp_path / "program.ts").write_text(checked)
    strict = ("--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom")
    await ran(npx, "--no-install", "tsc", *strict, "program.ts", folder=tmp_path)
    output = await ran("node", "program.js", folder=tmp_path)
    *_, last = output.strip().splitlines()
    rows, opened, problem = json.loads(last)
    assert (rows, opened) == (10, 24)
    assert (problem["status"], problem["code"]) == (404, "unknown_symbol")
    wrong = checked.replace('"/api/market/ohlc"', '"/api/market/olhc"')
    (tmp_path / "program.ts").write_text(wrong)
    with pytest.raises(AssertionError, match="olhc"):
        await ran(npx, "--no-install", "tsc", *strict, "program.ts", folder=tmp_path)
