"""F6, F8, F10: starts with addresses, proxies and certificates of all kinds."""

import asyncio
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress

from tests.attacks.attack import Scene, Tally
from tests.attacks.ground import Camp, camp, look_for_traces
from tests.life.process import OUTPUT, running, started

STARTS = Scene("starts", camp)

IPV6 = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).status)"


async def status_at(url: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-E", "-c", IPV6, url, stdout=PIPE, stderr=DEVNULL
    )
    output, _ = await process.communicate()
    return output.decode().strip()


def has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@STARTS.attack(
    "F6 F8",
    "`HOST=::`, all interfaces without a key, a misspelt setting",
    loss="a family that is not served, no warning, or more than one of a kind",
)
async def both_families(ground: Camp, tally: Tally) -> None:
    settings = {"HOST": "::", "STATE_PATH": "", "BINANCE_API_KY": "hunter33", "CORS_ORIGINS": "*"}
    host = settings["HOST"] if has_ipv6() else "0.0.0.0"  # noqa: S104 - for a moment, to be warned
    path = ground.new_folder()
    async with running(path, **ground.settings(**(settings | {"HOST": host}))) as gateway:
        tally.tries += 1
        if has_ipv6():
            told = await status_at(f"http://[::1]:{gateway.port}/healthz")
            tally.expect(told == "200", f"[::1]: {told or 'refused'}")
        answer = await gateway.client.get("/healthz")
        tally.expect(answer.status_code == 200, "127.0.0.1 is not served")
        ended = await gateway.stop()
        look_for_traces(gateway, 0, tally)
    warnings = [line for line in ended.output.splitlines() if "WARNING" in line]
    tally.expect(
        sum("BINANCE_API_KEY" in line for line in warnings) == 1,
        "the misspelt setting is not named",
    )
    tally.expect("hunter33" not in ended.output, "its value is told")
    is_open = [line for line in warnings if "HOST" in line and "GATEWAY_API_KEYS" in line]
    tally.expect(len(is_open) == 1, f"{len(is_open)} warnings that everybody may come in")


IMPOSSIBLE: tuple[tuple[str, dict[str, str]], ...] = (
    ("HTTPS_PROXY", {"HTTPS_PROXY": "http://u:hunter22@proxy.corp:port", "NO_PROXY": "127.0.0.1"}),
    ("SSL_CERT_FILE", {"SSL_CERT_FILE": "/nonexistent/cacert.pem"}),
    ("ALL_PROXY", {"ALL_PROXY": "gopher://127.0.0.1:1"}),
    ("HTTP_PROXY", {"HTTP_PROXY": "http://[::1"}),
    ("SSL_CERT_DIR", {"SSL_CERT_DIR": "/nonexistent"}),
    ("PORT", {"PORT": "seven"}),
)
POSSIBLE: tuple[dict[str, str], ...] = (
    {"ALL_PROXY": "socks5://127.0.0.1:1080", "NO_PROXY": "127.0.0.1,fd07:b51a:cc66:f0::/64,[::1]"},
    {"NO_PROXY": "localhost,127.0.0.1,fd07:b51a:cc66:f0::/64,[::1],fc00::/7"},
    {"ALL_PROXY": "socks5://127.0.0.1:1080", "NO_PROXY": "*"},
    {"HTTPS_PROXY": "socks5h://127.0.0.1:1080", "NO_PROXY": "127.0.0.1"},
    {"all_proxy": "socks://127.0.0.1:1080", "NO_PROXY": "127.0.0.1"},
)


@STARTS.attack(
    "F10",
    "proxy and certificate variables that cannot work",
    loss="a start, a traceback, more than one line, no name of the variable, a password in it",
)
async def impossible_settings(ground: Camp, tally: Tally) -> None:
    for variable, settings in IMPOSSIBLE[: tally.times(6, 1)]:
        path = ground.new_folder()
        async with started(path, **ground.settings(**{"HOST": "127.0.0.1", **settings})) as process:
            try:
                code = await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                code = 0
        lines = (path / OUTPUT).read_text().splitlines()
        tally.tries += 1
        tally.expect(code, f"{variable}: it starts")
        is_clear = len(lines) == 1 and variable in lines[0]
        tally.expect(is_clear, f"{variable}: {len(lines)} lines, {lines[-1:]}")
        tally.expect("hunter22" not in "".join(lines), "a password is told")


@STARTS.attack(
    "F10",
    "`NO_PROXY` with IPv6 networks and brackets, SOCKS proxies beside exemptions",
    loss="no start, no answer",
)
async def possible_settings(ground: Camp, tally: Tally) -> None:
    for settings in POSSIBLE[: tally.times(5, 1)]:
        path = ground.new_folder()
        tally.tries += 1
        try:
            async with running(path, **ground.settings(STATE_PATH="", **settings)) as gateway:
                answer = await gateway.client.get("/api/gas")
                tally.expect(answer.status_code == 200, f"{settings}: {answer.status_code}")
                look_for_traces(gateway, 0, tally)
        except AssertionError as error:
            last = str(error).strip().splitlines()[-1:]
            tally.losses.append(f"{settings}: no start, {last}")
