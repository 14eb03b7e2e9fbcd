"""The real process behind a proxy, and with settings that are misspelt."""

from pathlib import Path

import pytest

from tests.life.process import running
from tests.world.proxies import HttpProxy, SocksProxy
from tests.world.server import World

WORDS = ("anna", "hunter22/x")
PATHS = ("/api/market?limit=1", "/api/gas", "/api/news", "/api/status", "/metrics")


@pytest.mark.parametrize(("kind", "scheme"), [(HttpProxy, "http"), (SocksProxy, "socks5")])
async def test_providers_are_called_through_the_proxy_and_its_password_is_never_shown(
    world: World, tmp_path: Path, kind: type[HttpProxy | SocksProxy], scheme: str
) -> None:
    async with kind(*WORDS) as proxy:
        address = f"{scheme}://anna:hunter22%2Fx@{proxy.address}"
        settings = world.environment(ALL_PROXY=address, LOG_LEVEL="DEBUG")
        async with running(tmp_path, **settings) as gateway:
            texts = [(await gateway.client.get(path)).text for path in PATHS]
            ended = await gateway.stop()
        asked = len(proxy.asked)
    assert asked >= 3
    assert proxy.refused == 0
    assert f"providers are called through proxy {scheme}://{proxy.address} (ALL_PROXY)" in (
        ended.output
    )
    logs = [path.read_text() for path in (tmp_path / "logs").iterdir()]
    for text in (*texts, *logs, ended.output):
        assert "hunter22" not in text
        assert "YW5uYTpodW50ZXIyMi94" not in text


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_refused_proxy_password_is_reported_and_never_shown(
    world: World, tmp_path: Path, scheme: str
) -> None:
    kind = SocksProxy if scheme == "socks5" else HttpProxy
    async with kind("anna", "right") as proxy:
        address = f"{scheme}://anna:hunter22@{proxy.address}"
        settings = world.environment(ALL_PROXY=address, LOG_LEVEL="DEBUG", BINANCE_STREAM_URL="")
        async with running(tmp_path, **settings) as gateway:
            answer = await gateway.client.get("/api/market")
            status = (await gateway.client.get("/api/status")).text
            ended = await gateway.stop()
    assert answer.status_code == 503
    reasons = {one["reason"] for one in answer.json()["providers"]}
    assert "connect_error" in reasons
    logs = [path.read_text() for path in (tmp_path / "logs").iterdir()]
    for text in (answer.text, status, *logs, ended.output):
        assert "hunter22" not in text
        assert "Traceback" not in text


async def test_a_misspelt_setting_is_named_in_a_warning_at_the_start(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("CACHE_TTL_MARKTE=hunter22\n")
    settings = world.environment(BINANCE_API_KY="hunter33", BINANCE_SERVICE_HOST="10.0.0.1")
    async with running(tmp_path, **settings) as gateway:
        ended = await gateway.stop()
    warnings = [line for line in ended.output.splitlines() if "WARNING" in line]
    assert len(warnings) == 2
    assert "CACHE_TTL_MARKTE (in .env)" in warnings[0]
    assert "did you mean CACHE_TTL_MARKET?" in warnings[0]
    assert "did you mean BINANCE_API_KEY?" in warnings[1]
    assert "hunter" not in ended.output
