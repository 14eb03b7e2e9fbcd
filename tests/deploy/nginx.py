"""A real nginx by docs/deploy/nginx.conf, with ports and folders of this machine put in."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.deploy.documents import text_of
from tests.life.process import Gateway, free_port, running
from tests.scrape import samples
from tests.world.push import PushWorld
from tests.world.server import World

BINARY = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
#: What nginx says of the cache in an answer that it took from there.
HIT = "nginx; hit"
START_S = 20.0
#: For tests that ask much from one address.
NO_LIMIT = {"rate=50r/s": "rate=100000r/s"}
needs_nginx = pytest.mark.skipif(
    BINARY is None, reason="NO NGINX here: nginx.conf was not tried (apt-get install nginx-light)"
)


def configuration(folder: Path, port: int, gateway: int, changes: Mapping[str, str]) -> str:
    """The file, for `folder` and these ports of loopback. What is replaced must be there once."""
    temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"\n{name}_temp_path {folder}/{name};" for name in temporary)
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers may not enter the folder
    replaced = {
        "user www-data;": user,
        "/run/nginx.pid": f"{folder}/nginx.pid",
        "/var/log/nginx/error.log": f"{folder}/error.log",
        "/var/log/nginx/gateway.log": f"{folder}/gateway.log",
        "/var/cache/nginx-gateway": f"{folder}/cache",
        "\nhttp {": f"\nhttp {{{folders}",
        "\n        listen 80;": f"\n        listen 127.0.0.1:{port};",
        "server 127.0.0.1:7860;": f"server 127.0.0.1:{gateway};",
        **changes,
    }
    text = text_of("nginx.conf")
    for old, new in replaced.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def command(
    folder: Path, port: int, gateway: int, changes: Mapping[str, str], directives: str
) -> tuple[str, ...]:
    """What starts nginx by the file, which is written into the new `folder`."""
    assert BINARY is not None
    folder.mkdir()
    file = folder / "nginx.conf"
    file.write_text(configuration(folder, port, gateway, changes))
    return (BINARY, "-e", str(folder / "error.log"), "-c", str(file), "-g", directives)


@dataclass
class Proxy:
    """An nginx that serves on loopback; `client` asks it as 127.0.0.1."""

    client: httpx.AsyncClient
    folder: Path
    port: int


@dataclass
class Front:
    """Invented providers, a real gateway that asks them, and nginx in front of it."""

    world: World
    push: PushWorld
    gateway: Gateway
    proxy: Proxy

    async def answered(self, route: str) -> int:
        """How many requests of a route the gateway has answered, by its own count."""
        found = samples((await self.gateway.client.get("/metrics")).text)
        counts = {name: value for name, value in found.items() if f"route={route}," in name}
        return int(
            sum(
                value for name, value in counts.items() if name.startswith("gateway_requests_total")
            )
        )


@asynccontextmanager
async def front(
    folder: Path, changes: Mapping[str, str] = NO_LIMIT, **settings: str
) -> AsyncIterator[Front]:
    """`changes` are of nginx.conf, `settings` of the gateway."""
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(World())
        push = await stack.enter_async_context(PushWorld())
        settings = {"TRUST_PROXY": "1", "BINANCE_STREAM_URL": push.url, **settings}
        gateway = await stack.enter_async_context(running(folder, **world.environment(**settings)))
        proxy = await stack.enter_async_context(proxied(folder / "nginx", gateway.port, changes))
        yield Front(world, push, gateway, proxy)


@asynccontextmanager
async def proxied(folder: Path, gateway: int, changes: Mapping[str, str]) -> AsyncIterator[Proxy]:
    """An nginx in front of the gateway's port, which ends with the block."""
    port = free_port()
    started = command(folder, port, gateway, changes, "daemon off;")
    process = await asyncio.create_subprocess_exec(*started)
    try:
        await _until_listening(port, process)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=15) as client:
            yield Proxy(client, folder, port)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _until_listening(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_S):
        while True:
            assert process.returncode is None, "nginx does not accept the file"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


def client_from(address: str, proxy: Proxy) -> httpx.AsyncClient:
    """A client of another address of this machine."""
    transport = httpx.AsyncHTTPTransport(local_address=address)
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{proxy.port}", transport=transport)


async def raw(
    client: httpx.AsyncClient, path: str, headers: Mapping[str, str]
) -> tuple[httpx.Response, bytes]:
    """The response, and its body as it was sent: not decompressed."""
    request = client.build_request("GET", path)
    del request.headers["accept-encoding"]
    request.headers.update(headers)
    response = await client.send(request, stream=True)
    body = b"".join([part async for part in response.aiter_raw()])
    await response.aclose()
    return response, body


async def hit(
    client: httpx.AsyncClient, path: str, headers: Mapping[str, str]
) -> tuple[httpx.Response, bytes]:
    """The same from nginx's cache: a copy lives for a second, so the second time at the latest
    unless the machine is very slow."""
    for _ in range(30):
        response, body = await raw(client, path, headers)
        if response.headers.get("cache-status") == HIT:
            return response, body
    raise AssertionError(f"nginx never answers {path} from its cache: {response.headers}")
