"""The command as a user types it: arguments, wrong settings, `--check` with the world behind it."""

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend import __version__
from backend.providers.registry import REGISTRY
from tests.life.process import RUN, Ended, free_port, running, started
from tests.world.server import FURTHER_VENUES, World

KEY = "CG-thekeyofthistest00000001"
ALL_ON = {f"{name.upper()}_ENABLED": "true" for name in (*FURTHER_VENUES, "coinmarketcap")}
ALL_ON["COINPAPRIKA_ENABLED"] = "true"
ROUTES = """/api/market /api/market/{coin} /api/market/ohlc /api/news /api/sentiment /api/gas
/api/global /api/search""".split()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as made:
        yield made


async def ended(folder: Path, *arguments: str, **settings: str) -> Ended:
    """The command's end, with its output and errors."""
    began = time.monotonic()
    async with started(folder, *RUN, *arguments, **settings) as process:
        code = await asyncio.wait_for(process.wait(), 30)
    return Ended(code, time.monotonic() - began, (folder / "output.txt").read_text())


def lines_of(text: str) -> dict[str, str]:
    """The rest of each line by its first word."""
    return {line.split()[0]: line for line in text.splitlines() if line.strip()}


async def test_the_version_is_one_line(tmp_path: Path) -> None:
    told = await ended(tmp_path, "--version", PORT="wrong")
    assert (told.code, told.output) == (0, f"crypto-gateway {__version__}\n")


async def test_the_help_names_the_arguments_and_where_settings_are(tmp_path: Path) -> None:
    told = await ended(tmp_path, "--help")
    assert told.code == 0
    for word in ("--check", "--version", ".env", "docs/settings.md"):
        assert word in told.output


@pytest.mark.parametrize("argument", ["--chek", "serve", "--ver", "--worker=0", "-p"])
async def test_an_unknown_argument_is_refused_with_the_usage(tmp_path: Path, argument: str) -> None:
    told = await ended(tmp_path, argument)
    assert told.code == 2
    assert told.output.startswith("usage: ")
    assert argument in told.output
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("arguments", [(), ("--check",)])
async def test_all_wrong_settings_are_told_before_anything_starts(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    told = await ended(
        tmp_path,
        *arguments,
        PORT="many",
        COOLDWON="3",
        CRYPTOPANIC_PLAN="gold",
        COINGECKO_PRO_API_KEY=f"{KEY} {KEY}",
        HTTPS_PROXY="socks4://anna:hunter22@proxy:1",
        SSL_CERT_FILE="/nonexistent.pem",
    )
    assert told.code == 2
    lines = told.output.splitlines()
    assert "invalid setting  PORT: must be a whole number, not 'many'" in lines
    assert (
        "invalid setting  SSL_CERT_FILE: '/nonexistent.pem' cannot be read:"
        " No such file or directory"
    ) in lines
    assert "warning  COOLDWON is not a setting and is ignored; did you mean COOLDOWN?" in lines
    assert any(
        re.match(r"invalid setting  CRYPTOPANIC_PLAN: .*, not 'gold'$", one) for one in lines
    )
    assert any(one.startswith("invalid setting  HTTPS_PROXY: must be") for one in lines)
    assert any(one.startswith("invalid setting  COINGECKO_PRO_API_KEY: must") for one in lines)
    assert len(lines) == 6
    assert KEY not in told.output
    assert "hunter22" not in told.output


async def test_the_check_asks_each_enabled_provider_once(world: World, tmp_path: Path) -> None:
    world.good_keys["coingecko_pro"] = KEY
    settings = world.environment(**ALL_ON | {"OKX_ENABLED": "false"}, COINGECKO_PRO_API_KEY=KEY)
    told = await ended(tmp_path, "--check", **settings)
    assert told.code == 0, told.output
    lines = lines_of(told.output)
    asked = {name for name, number in world.calls.items() if number == 1}
    off = {"okx", "cryptopanic", "newsapi", "etherscan", "etherscan_backup"}
    assert asked == {spec.name for spec in REGISTRY} - off
    assert asked == set(world.calls)
    assert world.overruns == []
    for name in asked:
        assert re.search(rf"^{name} +reachable +\d+ ms  ", lines[name]), lines[name]
    assert "key accepted, plan pro; 499 of 500 left per minute" in lines["coingecko_pro"]
    assert "no key, COINGECKO_FREE_API_KEY adds one" in lines["coingecko_free"]
    assert re.search(r"no key needed; 5,9\d\d of 6,000 left per minute", lines["binance"])
    assert "disabled" in lines["okx"]
    assert "set NEWSAPI_API_KEY to use it" in lines["newsapi"]
    for route in ROUTES:
        assert re.search(r"  \w", lines[route]), route
        assert "okx" not in lines[route]
    assert KEY not in told.output


async def test_the_calls_of_a_check_count_against_the_limits(world: World, tmp_path: Path) -> None:
    settings = world.environment(COINGECKO_FREE_LIMITS="4/hour")
    for left in (3, 2):
        told = await ended(tmp_path, "--check", **settings)
        assert f"{left} of 4 left per hour" in lines_of(told.output)["coingecko_free"]
        (tmp_path / "output.txt").unlink()
    settings["COINGECKO_FREE_LIMITS"] = "1/hour"
    told = await ended(tmp_path, "--check", **settings)
    line = lines_of(told.output)["coingecko_free"]
    assert re.search(r"rate_limited +the limit per hour has nothing to spare; until \d\d:", line)
    assert world.calls["coingecko_free"] == 2
    health = (tmp_path / "logs" / "provider_health.log").read_text().splitlines()
    called = [json.loads(line)["provider"] for line in health]
    assert called.count("coingecko_free") == 2


async def test_the_check_says_why_a_provider_does_not_answer(world: World, tmp_path: Path) -> None:
    world.faults |= {"coinbase": "http500", "kraken": "silence", "bitstamp": "null"}
    await world.stop("binance")
    wrong = "CG-wrongwrongwrongwrong0000"
    settings = world.environment(
        **ALL_ON, COINGECKO_FREE_API_KEY=wrong, COINGECKO_PRO_API_KEY=wrong, PROVIDER_TIMEOUT="1"
    )
    told = await ended(tmp_path, "--check", **settings)
    lines = lines_of(told.output)
    assert "connect_error" in lines["binance"]
    assert "connection refused" in lines["binance"]
    assert "upstream_5xx" in lines["coinbase"]
    assert "HTTP 500" in lines["coinbase"]
    assert "timeout" in lines["kraken"]
    assert "bad_payload" in lines["bitstamp"]
    assert "the key in COINGECKO_PRO_API_KEY is refused" in lines["coingecko_pro"]
    assert "it is used without one" in lines["coingecko_free"]
    assert "coingecko_pro" not in lines["/api/market"]
    assert "coingecko_free" in lines["/api/market"]
    assert told.code == 0
    assert wrong not in told.output
    assert "Traceback" not in told.output
    assert "127.0.0.1" not in told.output


async def test_a_route_without_a_provider_is_exit_code_1(world: World, tmp_path: Path) -> None:
    await world.stop("alternative_me")
    told = await ended(tmp_path, "--check", **world.environment())
    assert told.code == 1
    assert lines_of(told.output)["/api/sentiment"].endswith("nobody answers")
    assert lines_of(told.output)["/api/gas"].endswith("ethereum_rpc")
    assert "no provider can be reached" not in told.output


async def test_without_a_network_the_check_ends_with_one_sentence(
    world: World, tmp_path: Path
) -> None:
    settings = world.environment()
    for name in set(world.environment()) & {f"{one.name.upper()}_BASE_URL" for one in REGISTRY}:
        settings[name] = "http://127.0.0.1:9"
    told = await ended(tmp_path, "--check", **settings)
    assert told.code == 1
    assert told.output.count("no provider can be reached: connection refused; ") == 1
    assert "HTTPS_PROXY=http://host:port" in told.output
    assert told.took_s < 10


async def test_a_silent_network_ends_the_check_in_time(world: World, tmp_path: Path) -> None:
    settings = world.environment(**ALL_ON, PROVIDER_TIMEOUT="60", REQUEST_DEADLINE="60")
    world.faults |= dict.fromkeys((spec.name for spec in REGISTRY), "silence")
    told = await ended(tmp_path, "--check", **settings)
    assert told.code == 1
    assert told.took_s < 15  # 5 s of calls, and the start of Python on a busy machine
    assert "timeout" in lines_of(told.output)["binance"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_check_without_a_traceback(
    world: World, tmp_path: Path, number: int
) -> None:
    world.faults |= dict.fromkeys((spec.name for spec in REGISTRY), "silence")
    async with started(tmp_path, *RUN, "--check", **world.environment()) as process:
        async with asyncio.timeout(20):
            while not world.calls:
                await asyncio.sleep(0.02)
        process.send_signal(number)
        began = time.monotonic()
        code = await asyncio.wait_for(process.wait(), 5)
    assert code in (128 + number, -number)
    assert time.monotonic() - began < 2
    assert "Traceback" not in (tmp_path / "output.txt").read_text()


async def test_a_reader_of_the_check_may_leave(world: World, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    async with started(tmp_path, *RUN, "--check", stdout=writing, **world.environment()) as process:
        os.close(writing)
        os.close(reading)
        code = await asyncio.wait_for(process.wait(), 30)
    assert code == 0
    assert (tmp_path / "output.txt").read_text() == ""


async def test_the_check_needs_no_port(world: World, tmp_path: Path) -> None:
    async with running(tmp_path, **world.environment()) as gateway:
        other = tmp_path / "other"
        other.mkdir()
        told = await ended(other, "--check", **world.environment(PORT=str(gateway.port)))
        assert told.code == 0
        assert (await gateway.client.get("/healthz")).status_code == 200


async def test_a_port_in_use_is_one_line(world: World, tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port := free_port())
    async with server:
        told = await ended(tmp_path, HOST="127.0.0.1", PORT=str(port), LOG_LEVEL="ERROR")
    assert told.code == 2
    assert told.output == f"invalid setting  PORT: {port} is in use by another process\n"


async def test_the_start_tells_the_address_the_version_and_what_keys_add(
    world: World, tmp_path: Path
) -> None:
    settings = world.environment(HOST="0.0.0.0", NEWSAPI_API_KEY="x" * 32)  # noqa: S104
    async with running(tmp_path, **settings) as gateway:
        await gateway.until_logged("is ready")
        address = f"http://localhost:{gateway.port}/"
        told = await gateway.stop()
    ready = f"crypto-gateway {__version__} is ready: open {address} (documentation: {address}docs)"
    assert told.output.count(ready) == 1
    (keys,) = [line for line in told.output.splitlines() if "no key is needed" in line]
    assert "COINGECKO_PRO_API_KEY adds coingecko_pro (market, global, ohlc)" in keys
    assert "NEWSAPI" not in keys
    assert "no provider can be reached" not in told.output
    assert sum(world.calls.values()) == 0 or set(world.calls) == {"newsapi"}


async def test_without_a_network_the_start_says_so_once(world: World, tmp_path: Path) -> None:
    settings = world.environment(BINANCE_STREAM_URL="")
    for name in settings:
        if name.endswith("_BASE_URL"):
            settings[name] = "http://127.0.0.1:9"
    async with running(tmp_path, **settings) as gateway:
        await gateway.until_logged("no provider can be reached")
        await gateway.client.get("/api/market")
        told = await gateway.stop()
    assert told.output.count("no provider can be reached: connection refused; ") == 1
    assert told.output.count("HTTPS_PROXY") == 1


async def test_a_broken_line_of_the_file_is_told_once_by_its_number(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("COINGECKO_API_KEY=hunter22\nhunter33 key\nBINANCE_BASEURL=x\n")
    async with running(tmp_path, **world.environment(COOLDWON="3")) as gateway:
        told = await gateway.stop()
    warnings = [line for line in told.output.splitlines() if "WARNING" in line]
    assert [line.partition("gateway  ")[2] for line in warnings] == [
        ".env: line 2 is not like NAME=value and is ignored",
        "COINGECKO_API_KEY (in .env) is not a setting and is ignored;"
        " did you mean COINGECKO_PRO_API_KEY or COINGECKO_FREE_API_KEY?",
        "BINANCE_BASEURL (in .env) is not a setting and is ignored; did you mean BINANCE_BASE_URL?",
        "COOLDWON is not a setting and is ignored; did you mean COOLDOWN?",
    ]
    assert "hunter" not in told.output
