"""The runner, with scripts of its own in the place of the clients."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.clients import environments, run
from tests.clients.__main__ import install, main
from tests.clients.environments import COMPLETE, NotInstalled, python_of
from tests.clients.key_proxy import adding_key
from tests.clients.plan import DOWN, KEY, KEYS, PLAIN, Served
from tests.clients.requirements import Environment
from tests.clients.run import Clients, run_one

#: Prints its flags and the price of Bitcoin, or the status of the refusal, which is its exit code.
SCRIPT = """
import json, sys, urllib.error, urllib.request
address, *flags = sys.argv[1:]
try:
    with urllib.request.urlopen(f"{address}/udf/quotes?symbols=BTC", timeout=20) as answer:
        told = json.load(answer)
except urllib.error.HTTPError as error:
    print(flags, "status", error.code)
    sys.exit(1)
print(flags, "a price", told["d"][0]["v"]["lp"])
"""


def clients_in(folder: Path, text: str = SCRIPT) -> Clients:
    (folder / "some_client.py").write_text(text)
    python = Path(sys.executable)
    return Clients(folder, {"some_client": python}, python)


async def test_a_script_is_run_against_a_gateway(tmp_path: Path) -> None:
    (outcome,) = await run_one(clients_in(tmp_path), Served(PLAIN, 1))
    assert outcome.is_good, outcome.text
    assert outcome.text.startswith("[] a price ")
    assert str(outcome).startswith("ok   plain, 1 process    some_client ")


async def test_a_failure_has_the_output_of_script_and_gateway(tmp_path: Path) -> None:
    clients = clients_in(tmp_path, f"{SCRIPT}\nsys.exit('fell short')")
    (outcome,) = await run_one(clients, Served(PLAIN, 1))
    assert not outcome.is_good
    assert "fell short" in outcome.text
    assert "is ready: open" in outcome.text
    assert str(outcome).startswith("FAIL ")


async def test_a_script_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "SCRIPT_S", 0.5)
    (outcome,) = await run_one(
        clients_in(tmp_path, "import time\ntime.sleep(50)"), Served(PLAIN, 1)
    )
    assert (outcome.is_good, "did not end within" in outcome.text) == (False, True)


async def test_keys_are_needed_and_the_proxy_adds_them(tmp_path: Path) -> None:
    (outcome,) = await run_one(clients_in(tmp_path), Served(KEYS, 1))
    assert outcome.is_good, outcome.text
    async with run.serving(clients_in(tmp_path), Served(KEYS, 1)) as (gateway, address):
        assert (await gateway.client.get("/udf/config")).status_code == 401
        assert (await gateway.client.get(f"{address}/udf/config")).status_code == 200


async def test_a_gateway_that_does_not_start_is_a_failure(tmp_path: Path) -> None:
    clients = clients_in(tmp_path)
    (tmp_path / "fake.py").write_text("import sys\nsys.exit('no')")
    (outcome,) = await run_one(clients, Served(DOWN, 1))
    assert (outcome.client, outcome.is_good) == ("the gateway", False)
    assert "the stand-in has ended" in outcome.text


async def test_the_proxy_adds_the_key_to_each_request() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with adding_key(KEY, port) as address:
            reader, writer = await asyncio.open_connection(
                *address.removeprefix("http://").split(":")
            )
            for _ in range(2):
                writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                await reader.readuntil(b"\r\n\r\n")
            writer.close()
    assert heads == [f"GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n\r\n".encode()] * 2


async def test_an_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[tuple[str, ...]] = []

    async def note(*command: str) -> None:
        commands.append(command)
        (tmp_path / "environment_1").mkdir(exist_ok=True)

    monkeypatch.setattr(environments, "_run", note)
    for pins in (("a==1",), ("a==1",), ("a==2",)):
        await python_of(Environment("1", ("fake",), pins), tmp_path)
    assert [command[-1] for command in commands if "pip" in command] == ["a==1", "a==2"]
    assert (tmp_path / "environment_1" / COMPLETE).read_text() == "a==2"


async def test_what_pip_says_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotInstalled, match="no such package"):
        await environments._run(sys.executable, "-c", "import sys; sys.exit('no such package')")
    monkeypatch.setattr(environments, "INSTALL_S", 0.2)
    with pytest.raises(NotInstalled, match="not done within"):
        await environments._run(sys.executable, "-c", "import time; time.sleep(50)")


async def test_a_script_without_an_environment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("# Environment 1: fake\na==1\n")
    (tmp_path / "some_client.py").write_text("")
    (tmp_path / "environment_1").mkdir()
    (tmp_path / "environment_1" / COMPLETE).write_text("a==1")
    with pytest.raises(ValueError, match="no environment of some_client"):
        await install(tmp_path, tmp_path)


def test_without_the_scripts_nothing_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["clients", "--scripts", str(tmp_path / "nothing")])
    assert main() == 0
    assert capsys.readouterr().out.startswith("NO CLIENTS are in ")
