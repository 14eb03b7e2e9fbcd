"""The real process at its address: both IP families, a port in use, the warning about access."""

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from api.server.listening import ALL_IPV4
from tests.life.process import OUTPUT, free_port, running, started
from tests.world.server import World

ASK = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).status)"
OPEN_TO_ALL = "every machine that can connect"


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


async def status_of(url: str) -> str:
    """Of a process of its own: tests may not leave 127.0.0.0/8."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ASK, url, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return output.decode().strip()


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_a_double_colon_serves_both_families(world: World, tmp_path: Path) -> None:
    async with running(tmp_path, **world.environment(HOST="::")) as gateway:
        assert (await gateway.client.get("/healthz")).status_code == 200
        assert await status_of(f"http://[::1]:{gateway.port}/healthz") == "200"
        ended = await gateway.stop()
    assert ended.code == 0
    assert f"Uvicorn running on http://[::]:{gateway.port} (Press CTRL+C to quit)" in ended.output
    assert ended.output.count(OPEN_TO_ALL) == 1
    assert "Traceback" not in ended.output


@pytest.mark.parametrize(
    ("settings", "times"),
    [
        ({"HOST": ALL_IPV4}, 1),
        ({"HOST": "127.0.0.1"}, 0),
        ({"HOST": ALL_IPV4, "GATEWAY_API_KEYS": "first-key"}, 0),
    ],
)
async def test_a_gateway_that_is_open_to_all_logs_one_warning(
    world: World, tmp_path: Path, settings: dict[str, str], times: int
) -> None:
    async with running(tmp_path, **world.environment(**settings)) as gateway:
        ended = await gateway.stop()
    assert ended.output.count(OPEN_TO_ALL) == times
    assert f"Uvicorn running on http://{settings['HOST']}:{gateway.port} " in ended.output


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"HOST": "192.0.2.1"}, "HOST: '192.0.2.1' is not an address of this machine"),
        ({"HOST": "[::"}, "HOST: cannot listen"),
        ({"HTTPS_PROXY": "http://u:hunter22@proxy.corp:port"}, "HTTPS_PROXY: must be an address"),
        (
            {"SSL_CERT_FILE": "/nonexistent/cacert.pem"},
            "SSL_CERT_FILE: '/nonexistent/cacert.pem' cannot be read",
        ),
    ],
)
async def test_an_invalid_setting_is_one_line_that_names_the_variable(
    tmp_path: Path, settings: dict[str, str], message: str
) -> None:
    async with started(tmp_path, **settings) as process:
        code = await asyncio.wait_for(process.wait(), 20)
    (line,) = (tmp_path / OUTPUT).read_text().splitlines()
    assert code == 2
    assert message in line
    assert "hunter22" not in line


async def test_a_port_in_use_is_one_line_that_names_the_variable(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        async with started(tmp_path, HOST="127.0.0.1", PORT=str(port)) as process:
            code = await asyncio.wait_for(process.wait(), 20)
    (line,) = (tmp_path / OUTPUT).read_text().splitlines()
    assert code == 2
    assert line.endswith(f"PORT: {port} is in use by another process")


SURROUNDINGS = [
    {"NO_PROXY": "localhost,127.0.0.1,fd07:b51a:cc66:f0::/64"},
    {"NO_PROXY": "localhost,127.0.0.1,fc00::/7,fe80::/10"},
    {"NO_PROXY": "localhost,127.0.0.1,[::1]"},
    {"ALL_PROXY": "socks5://127.0.0.1:1080", "NO_PROXY": "*"},
    {"HTTPS_PROXY": "socks5h://127.0.0.1:1080", "NO_PROXY": "127.0.0.1"},
    {"all_proxy": "socks://127.0.0.1:1080", "NO_PROXY": "127.0.0.1"},
]


@pytest.mark.parametrize("surroundings", SURROUNDINGS, ids=range(len(SURROUNDINGS)))
async def test_it_serves_in_the_environments_of_common_tools(
    world: World, tmp_path: Path, surroundings: dict[str, str]
) -> None:
    async with running(tmp_path, **world.environment(**surroundings)) as gateway:
        assert (await gateway.client.get("/api/market?limit=1")).status_code == 200
        ended = await gateway.stop()
    assert ended.code == 0
    assert "Traceback" not in ended.output
    assert "WARNING" not in ended.output
