"""No error path puts a key into an answer, a log or a repr."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest

from api.hf_unified_server import create_app
from backend.gateway import Gateway, open_gateway, read_configuration
from backend.observability.logs import open_logs
from backend.providers.registry import REGISTRY
from backend.redaction import Redactor
from backend.settings import Configuration

KEYED = [spec.name for spec in REGISTRY if spec.keyed]
KEYS = {name: f"secret/{name}+key=A{n}" for n, name in enumerate(KEYED)}
GATEWAY_KEY = "secret-gateway-key"
PATHS = (
    "/api/market",
    "/api/market/BTC",
    "/api/market/ohlc?symbol=BTC",
    "/api/news",
    "/api/sentiment",
    "/api/gas",
    "/api/status",
    "/api/status/explain?category=market",
    "/metrics",
    "/openapi.json",
    "/udf/quotes?symbols=BTC",
    "/udf/history?symbol=BTC&resolution=60&countback=3",
)
#: Answers of a provider that echoes the whole request: status, and whether the body is JSON.
ECHOES = ["200", "200 json", "302", "400", "401", "403", "418", "429", "451", "500", "503", "reset"]


def answer_of(kind: str, request: bytes) -> bytes:
    status, _, form = kind.partition(" ")
    text = request.decode("latin-1")
    body = json.dumps({"error": text, "status": {"error_code": 10002, "x": text}}).encode()
    body = body if form or status != "200" else request
    address = text.split(" ")[1]
    head = (
        f"HTTP/1.1 {status} {quote(text)[:2000]}\r\nLocation: {address}\r\nX-Echo: {address}\r\n"
        f"Content-Length: {len(body)}\r\nRetry-After: {address}\r\n\r\n"
    )
    return head.encode("latin-1") + body


@asynccontextmanager
async def echo(kind: str) -> AsyncIterator[str]:
    """A provider that echoes every request with its key. Yields its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.read(65_536)
        if kind != "reset":
            writer.write(answer_of(kind, request))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def configured(monkeypatch: pytest.MonkeyPatch, folder: Path, base_url: str) -> Configuration:
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        monkeypatch.delenv(name)
    for spec in REGISTRY:
        monkeypatch.setenv(f"{spec.name.upper()}_BASE_URL", base_url)
    for name, key in KEYS.items():
        monkeypatch.setenv(f"{name.upper()}_API_KEY", key)
    monkeypatch.setenv("GATEWAY_API_KEYS", GATEWAY_KEY)
    monkeypatch.setenv("BINANCE_STREAM_URL", "")
    return read_configuration()


Opened = Callable[[Configuration], Any]


async def texts_of(configuration: Configuration, folder: Path, opened: Opened) -> list[str]:
    """Every text that leaves the process: answers with headers, reprs, log files."""
    found = [repr(configuration), str(configuration)]
    redact = Redactor(configuration.secrets())
    with open_logs(folder / "logs", "DEBUG", redact):
        app = create_app(configuration, opened=opened)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            headers = {"X-API-Key": GATEWAY_KEY}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://g", headers=headers
            ) as client:
                for path in PATHS * 2:
                    answer = await client.get(path)
                    found += [answer.text, str(answer.headers)]
            found += [repr(app.state.gateway), repr(vars(app.state))]
    return found + [path.read_text() for path in (folder / "logs").iterdir()]


def leaks(texts: list[str]) -> list[str]:
    secrets = {*KEYS.values(), GATEWAY_KEY}
    spellings = secrets | {quote(s, safe="") for s in secrets} | {quote_plus(s) for s in secrets}
    return sorted({secret for secret in spellings for text in texts if secret in text})


@pytest.mark.parametrize("kind", ECHOES)
async def test_a_provider_that_echoes_the_key_leaks_it_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    async with echo(kind) as base_url:
        configuration = configured(monkeypatch, tmp_path, base_url)
        texts = await texts_of(configuration, tmp_path, open_gateway)
    out = capsys.readouterr()
    assert len(texts) > 20
    assert leaks([*texts, out.out, out.err]) == []


async def test_an_exception_that_contains_the_keys_leaks_them_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        async def latest(self, *_choice: object) -> Awaitable[Any]:
            text = f"boom {' '.join(KEYS.values())} {GATEWAY_KEY}"
            raise RuntimeError(text)

    @asynccontextmanager
    async def opened(configuration: Configuration) -> AsyncIterator[Gateway]:
        async with open_gateway(configuration) as gateway:
            yield replace(gateway, gas=Broken())  # type: ignore[arg-type] # broken on purpose

    async with echo("500") as base_url:
        configuration = configured(monkeypatch, tmp_path, base_url)
        texts = await texts_of(configuration, tmp_path, opened)
    out = capsys.readouterr()
    assert "boom" in out.out, "the traceback is in the log"
    assert leaks([*texts, out.out, out.err]) == []


def test_the_search_would_find_a_leak() -> None:
    key = KEYS["etherscan"]
    assert leaks([f"x{key}x"]) == [key]
    assert leaks([quote(key, safe="")])
