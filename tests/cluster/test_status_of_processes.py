"""`/api/status` and `/metrics` of real gateways over a real Valkey, which is then killed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.servers import Server
from tests.cluster.servers import running as running_server
from tests.life.fork_server import fork_server
from tests.life.process import Forks, Gateway
from tests.life.process import running as running_gateway
from tests.scrape import samples
from tests.world.server import World

PASSWORD = "s3cret-of-the-store"  # noqa: S105 - no real one
#: The leader tells its status every 2 s; a process beats every 0.5 s.
TOLD_S, BEAT_S = 2.5, 1.5


@pytest.fixture(scope="module", autouse=True)
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A gateway's process is forked from one that has imported it."""
    with fork_server(tmp_path_factory.mktemp("forks")) as one:
        Forks.server = one
        yield
        Forks.server = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "store"
    folder.mkdir()
    with running_server(folder, "valkey-9.1", "--requirepass", PASSWORD) as one:
        yield one


@asynccontextmanager
async def gateway_of(
    world: World, server: Server, folder: Path, **settings: str
) -> AsyncIterator[Gateway]:
    folder.mkdir()  # noqa: ASYNC240 - a test has no other reader
    url = server.url.replace("//", f"//:{PASSWORD}@")
    settings = {"CLUSTER_SIZE": "2", **settings}
    environment = world.environment(REDIS_URL=url, **settings)
    # A supervisor starts workers by its own command: it is not forked.
    before = ("env",) if "WORKERS" in settings else ()
    async with running_gateway(folder, before=before, **environment) as gateway:
        yield gateway


async def status(gateway: Gateway) -> dict[str, Any]:
    return dict((await gateway.client.get("/api/status")).json())


async def until(
    gateway: Gateway, is_so: Callable[[dict[str, Any]], bool], within_s: float
) -> dict[str, Any]:
    """The first status of which it is so."""
    ends = time.monotonic() + within_s
    while not is_so(found := await status(gateway)):
        assert time.monotonic() < ends, found
        await asyncio.sleep(0.05)
    return found


async def cluster_until(gateway: Gateway, role: str, within_s: float = 5.0) -> dict[str, Any]:
    found = await until(gateway, lambda found: found["cluster"]["role"] == role, within_s)
    return dict(found["cluster"])


async def scraped(gateway: Gateway) -> dict[str, float]:
    return samples((await gateway.client.get("/metrics")).text)


def requests_to(found: dict[str, Any], name: str) -> int:
    return int(next(one["requests"] for one in found["providers"] if one["name"] == name))


async def test_two_processes_say_what_they_are_and_why(tmp_path: Path, server: Server) -> None:
    async with (
        World() as world,
        AsyncExitStack() as stack,
        gateway_of(world, server, tmp_path / "a") as leader,
    ):
        await cluster_until(leader, "leader")
        follower, other = await asyncio.gather(
            stack.enter_async_context(gateway_of(world, server, tmp_path / "b")),
            stack.enter_async_context(gateway_of(world, server, tmp_path / "c", CLUSTER_SIZE="3")),
        )
        await cluster_until(follower, "follower")
        await _the_follower_shows_the_leaders_providers(leader, follower)
        await _the_metrics_say_the_role(leader, follower)
        await _a_process_with_another_setting_says_which(other)
        server.kill()
        for gateway in (leader, follower):
            await _an_island_says_why(gateway, server)
        assert world.overruns == []


async def _the_follower_shows_the_leaders_providers(leader: Gateway, follower: Gateway) -> None:
    assert (await leader.client.get("/api/market")).status_code == 200
    told = await until(follower, lambda one: requests_to(one, "coingecko_free") == 1, TOLD_S)
    own = await status(leader)
    names = ("rotation", "ticks", "spread")
    assert {name: told[name] for name in names} == {name: own[name] for name in names}
    quotas = [[one["quotas"] for one in found["providers"]] for found in (told, own)]
    assert quotas[0] == quotas[1]
    assert told["cache"] != own["cache"]
    path = "/api/status/explain?category=market"
    explained = [(await one.client.get(path)).json() for one in (leader, follower)]
    assert explained[0]["chosen"] == explained[1]["chosen"]
    async with follower.client.stream("GET", "/api/stream?channels=gas"):
        found = await until(leader, lambda one: _readers(one) == [0, 1], BEAT_S)
    assert [(one["role"], one["version"]) for one in _members(found)] == [
        ("leader", "0.1.0"),
        ("follower", "0.1.0"),
    ]
    assert all(0 <= one["seen_seconds"] <= BEAT_S for one in _members(found))


def _members(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The leader and its follower."""
    both = {one["role"]: one for one in found["cluster"]["members"]}
    return [both["leader"], both["follower"]]


def _has_leader_of(found: dict[str, Any], processes: int) -> bool:
    roles = [one["role"] for one in found["cluster"]["members"]]
    return sorted(roles) == ["follower"] * (processes - 1) + ["leader"]


def _readers(found: dict[str, Any]) -> list[int]:
    return [one["readers"] for one in _members(found)]


async def _the_metrics_say_the_role(leader: Gateway, follower: Gateway) -> None:
    name = "gateway_cluster_role{{role={}}}"
    for gateway, role, takeovers in ((leader, "leader", 1), (follower, "follower", 0)):
        found = await scraped(gateway)
        roles = {role: found[name.format(role)] for role in ("leader", "follower", "island")}
        assert roles == {each: float(each == role) for each in roles}
        assert found["gateway_cluster_takeovers_total"] == takeovers
        assert found["gateway_cluster_link_up"] == found["gateway_cluster_term"] == 1
        assert found["gateway_cluster_messages_dropped_total"] == 0
    assert found["gateway_cluster_received_bytes_total"] > 10_000


async def _a_process_with_another_setting_says_which(gateway: Gateway) -> None:
    cluster = await cluster_until(gateway, "excluded")
    reason = "CLUSTER_SIZE differs from that of the running processes"
    assert cluster["reason"] == reason
    assert f"does not join the cluster: {reason}" in gateway.output


async def _an_island_says_why(gateway: Gateway, server: Server) -> None:
    why = "the server is unreachable"
    cluster = (await until(gateway, lambda found: found["cluster"]["reason"] == why, 2.0))[
        "cluster"
    ]
    assert (cluster["role"], cluster["link"], cluster["leader"]) == ("island", "down", None)
    found = await scraped(gateway)
    assert found["gateway_cluster_link_up"] == 0
    assert found["gateway_cluster_link_falls_total"] == 1
    assert (await gateway.client.get("/readyz")).status_code == 200
    for text in (json.dumps(cluster), gateway.output):
        assert PASSWORD not in text
        assert f"{server.port}" not in text


async def test_a_scrape_has_all_workers_of_the_machine(tmp_path: Path, server: Server) -> None:
    async with World() as world, gateway_of(world, server, tmp_path / "a", WORKERS="2") as gateway:
        await until(gateway, lambda found: _has_leader_of(found, 2), 5.0)
        for _ in range(3):
            await gateway.client.get("/api/gas", headers={"Connection": "close"})
        found = await scraped(gateway)
        roles = "gateway_cluster_role{{process={},role={}}}"
        leads = [found[roles.format(number, "leader")] for number in (0, 1)]
        follows = [found[roles.format(number, "follower")] for number in (0, 1)]
        assert sorted(leads) == sorted(follows) == [0, 1]
        gas = "gateway_requests_total{{cache={},process={},route=/api/gas,status=200}}"
        counts = [
            found.get(gas.format(cache, number), 0)
            for number in (0, 1)
            for cache in ("hit", "miss")
        ]
        assert sum(counts) == 3
        server.kill()
        await cluster_until(gateway, "island", within_s=2.0)
        alone = await scraped(gateway)
        processes = {series.partition("process=")[2][:1] for series in alone}
        assert len(processes) == 1
        assert alone[f"gateway_cluster_link_up{{process={processes.pop()}}}"] == 0


async def test_both_processes_tell_programs_of_binance_what_the_cluster_has_used(
    tmp_path: Path, server: Server
) -> None:
    path = "/binance/api/v3/avgPrice?symbol=BTCUSDT"
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(World())
        leader = await stack.enter_async_context(gateway_of(world, server, tmp_path / "a"))
        await cluster_until(leader, "leader")
        follower = await stack.enter_async_context(gateway_of(world, server, tmp_path / "b"))
        await cluster_until(follower, "follower")
        answers = [await one.client.get(path) for one in (follower, leader)]
        await asyncio.sleep(TOLD_S)
        told = [await one.client.get("/binance/api/v3/ping") for one in (follower, leader)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert world.paths["binance"].count("/api/v3/avgPrice") == 1
        used = str(sum(world.weights["binance"]))
        assert [answer.headers["x-mbx-used-weight-1m"] for answer in told] == [used, used]
