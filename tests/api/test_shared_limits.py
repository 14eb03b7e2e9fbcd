"""Client limits over all processes of a cluster, over a bus that loses and delays messages."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from struct import pack

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from api.edge.client_limits import ClientLimits, client_address
from api.edge.shared_limits import (
    MAX_TOLD,
    MAX_UNITS,
    TELL_INTERVAL_S,
    VERSION,
    SharedLimits,
    digest_of,
    key_of,
    messages_of,
    parse_uses,
    sharing,
)
from api.edge.sliding_log import PARTS
from api.hf_unified_server import create_app
from backend.clock import Clock
from backend.cluster.contract import Bus, Channel, ClusterState, Handler, SingleProcess
from backend.environment.forms import CallLimit
from backend.gateway import Gateway, open_gateway, read_configuration
from backend.models.cluster import Role
from backend.settings import Configuration, Settings
from tests.api.conftest import Serve
from tests.api.serving import serving
from tests.clocks import LoopClock, ManualClock
from tests.cluster.servers import running
from tests.world.server import World

KEY = bytes(range(32))
MINUTE = CallLimit(10, 60.0)
CLIENT = "198.51.100.7"
MALFORMED = [
    b"",
    VERSION,
    b"{}",
    b'{"version": 1, "uses": {"198.51.100.7": -5}}',
    b"\x02" + bytes(15) + b"\x01" + pack(">I", 5),
    VERSION + bytes(19),
    VERSION + bytes(21),
    VERSION + bytes(16) + pack(">I", 0),
    VERSION + (bytes(16) + pack(">I", 1)) * (MAX_TOLD + 1),
    VERSION + bytes(20_000_000),
]


@dataclass
class Network:
    """Delivers after `delay_s`, where `loses` does not say that it is lost. Never to the sender."""

    clock: Clock
    delay_s: float = 0.0
    loses: Callable[[], bool] = lambda: False
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    lost: list[tuple[float, bytes]] = field(default_factory=list)
    _handlers: dict[str, list[Handler]] = field(default_factory=dict)
    _due: list[tuple[float, str, bytes]] = field(default_factory=list)

    def bus(self, process: str) -> "NetworkBus":
        self._handlers[process] = []
        return NetworkBus(self, process)

    def send(self, sender: str, message: bytes) -> None:
        self.sent.append((sender, message))
        if self.loses():
            self.lost.append((self.clock.monotonic(), message))
        else:
            self._due.append((self.clock.monotonic() + self.delay_s, sender, message))

    def deliver(self) -> None:
        now = self.clock.monotonic()
        arrived = [each for each in self._due if each[0] <= now]
        self._due = [each for each in self._due if each[0] > now]
        for _, sender, message in arrived:
            for process, handlers in self._handlers.items():
                for handler in handlers if process != sender else ():
                    handler(sender, message)

    def subscribe(self, process: str, handler: Handler) -> None:
        self._handlers[process].append(handler)


@dataclass
class NetworkBus:
    network: Network
    process: str

    def publish(self, channel: Channel, message: bytes) -> None:
        assert channel == "hits"
        self.network.send(self.process, message)

    def subscribe(self, channel: Channel, handler: Handler) -> None:
        assert channel == "hits"
        self.network.subscribe(self.process, handler)


@dataclass
class FakeCluster:
    bus: Bus
    role: Role = "follower"
    leads: bool = False
    hears_leader: bool = True
    expects_leader: bool = True
    heard_at: float = 0.0

    def state(self) -> ClusterState:
        return ClusterState("gateway", "", self.role, 2, None, 1, True, None)

    def count_readers_by(self, readers: Callable[[], int]) -> None:
        """Nobody is told."""


class Processes:
    """Some processes whose clients' limits are shared over one network."""

    def __init__(
        self,
        count: int = 2,
        limits: Sequence[CallLimit] = (MINUTE,),
        *,
        clock: ManualClock | None = None,
        max_clients: int = 1_000,
        keys: Sequence[bytes] = (),
        **network: object,
    ) -> None:
        self.clock = clock or ManualClock()
        self.network = Network(self.clock, **network)  # type: ignore[arg-type]
        self.limits = [ClientLimits(limits, self.clock, max_clients) for _ in range(count)]
        self.shared = [
            SharedLimits(one, self.network.bus(f"p{number}"), (keys or [KEY] * count)[number])
            for number, one in enumerate(self.limits)
        ]

    def tell(self) -> None:
        for each in self.shared:
            each.tell()
        self.network.deliver()


def counts_of(shared: SharedLimits) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(shared)
    results = ("sent", "received", "malformed")
    name = "gateway_client_limit_messages_total"
    return {one: registry.get_sample_value(name, {"result": one}) or 0 for one in results}


def test_what_is_used_at_one_process_is_used_at_all() -> None:
    processes = Processes(3)
    one, other, third = processes.limits
    assert [one.hit(CLIENT).passes for _ in range(6)] == [True] * 6
    other.hit(CLIENT)
    processes.tell()
    assert other.admit(CLIENT) == b'"client";r=2;t=60', "6 there, 2 here"
    assert one.hit(CLIENT, 3).left == 0
    assert third.hit(CLIENT, 3).left == 0
    assert third.admit(CLIENT) is None
    assert other.hit("198.51.100.8").left == 9, "another client's limit is its own"


def test_uses_beyond_the_limit_are_counted_and_nothing_below_zero_is_shown() -> None:
    processes = Processes(2)
    one, other = processes.limits
    assert one.hit(CLIENT, 8).passes
    assert other.hit(CLIENT, 9).passes
    processes.tell()
    for limits in processes.limits:
        assert limits.admit(CLIENT) is None
        verdict = limits.hit(CLIENT)
        assert (verdict.passes, verdict.left, verdict.reset_s) == (False, 0, 60)
    processes.clock.advance(60)
    assert one.admit(CLIENT) == b'"client";r=9;t=60'


def test_nothing_is_told_twice_and_nothing_of_others_is_told_on() -> None:
    processes = Processes(3)
    processes.limits[0].hit(CLIENT, 2)
    for _ in range(5):
        processes.tell()
        processes.clock.advance(1)
    assert [sender for sender, _ in processes.network.sent] == ["p0"]
    processes.limits[1].hit(CLIENT)
    processes.tell()
    processes.tell()
    assert [sender for sender, _ in processes.network.sent] == ["p0", "p1"]
    assert [limits.hit(CLIENT, 0).left for limits in processes.limits] == [7, 7, 7]


def test_a_process_whose_clients_are_idle_or_refused_tells_nothing() -> None:
    processes = Processes(1)
    processes.tell()
    processes.limits[0].hit(CLIENT, 10)
    processes.tell()
    assert len(processes.network.sent) == 1
    assert not processes.limits[0].hit(CLIENT).passes
    processes.tell()
    assert len(processes.network.sent) == 1


@given(
    steps=st.lists(st.tuples(st.sampled_from("aht"), st.floats(0, 2), st.integers(0, 3))),
    period_s=st.sampled_from([0.5, 1.0, 60.0, 86_400.0]),
)
def test_each_use_is_told_once(steps: list[tuple[str, float, int]], period_s: float) -> None:
    """By both ways of counting, and in windows whose parts are shorter or longer than a second."""
    clock = ManualClock()
    limits = ClientLimits([CallLimit(30, period_s)], clock)
    passed, told = [0] * 4, [0] * 4
    for step, wait_s, client in [*steps, ("t", 0.0, 0)]:
        clock.advance(wait_s)
        if step == "t":
            for name, units in limits.take_own():
                told[int(name)] += units
            assert told == passed
        elif step == "a":
            passed[client] += limits.admit(str(client)) is not None
        else:
            passed[client] += 2 * limits.hit(str(client), 2).passes


#: Waits in tenths of a second, the process and the units.
STEPS = st.lists(
    st.tuples(st.integers(0, 25), st.integers(0, 3), st.integers(1, 6)), min_size=5, max_size=80
)


@pytest.mark.parametrize("count", [2, 4])
@given(steps=STEPS, limit=st.integers(1, 20), delay=st.integers(0, 5), data=st.data())
def test_the_sum_of_all_processes_is_within_the_limit_and_a_second_of_traffic(
    count: int, steps: list[tuple[int, int, int]], limit: int, delay: int, data: st.DataObject
) -> None:
    """Besides: what lost messages said. A use is refused only where it does not fit."""
    period_s, unknown_s = 10.0, TELL_INTERVAL_S + delay / 10
    late_s = period_s * (1 + 1 / PARTS) + unknown_s
    processes = Processes(
        count,
        [CallLimit(limit, period_s)],
        delay_s=delay / 10 - 0.001,
        loses=lambda: data.draw(st.integers(0, 9)) == 0,
    )
    network, clock = processes.network, processes.clock
    passed: list[tuple[float, int, int]] = []
    tenth = 0
    for waits, number, units in steps:
        for _ in range(waits):
            clock.advance(0.1)
            tenth += 1
            processes.shared[tenth % 10 % count].tell() if tenth % 10 < count else None
            network.deliver()
        now, process, counted = clock.monotonic(), number % count, min(units, limit)
        verdict = processes.limits[process].hit(CLIENT, units)
        recent = [use for use in passed if now - use[0] < period_s - 0.001]
        if verdict.passes:
            untold = sum(
                used for at, by, used in recent if by != process and now - at <= unknown_s + 0.001
            )
            lost = sum(
                used
                for at, message in network.lost
                if now - at < period_s
                for _, used in parse_uses(message)
            )
            total = sum(used for _, _, used in recent)
            assert total + counted <= limit + untold + lost
            passed.append((now, process, counted))
        else:
            known = sum(used for at, _, used in passed if now - at <= late_s + 0.001)
            assert known + counted > limit, "refused although it fits"


def test_uses_of_a_client_that_comes_later_are_kept_until_then() -> None:
    processes = Processes(2)
    one, other = processes.limits
    one.hit(CLIENT, 4)
    processes.tell()
    processes.clock.advance(30)
    one.hit(CLIENT, 5)
    processes.tell()
    assert other.admit(CLIENT) == b'"client";r=0;t=30'
    processes.clock.advance(30)
    assert other.admit(CLIENT) == b'"client";r=3;t=30', "4 of the 10 have expired"
    processes.tell()
    assert one.hit(CLIENT, 0).left == 3


def test_several_windows_are_shared() -> None:
    processes = Processes(2, [CallLimit(3, 1.0), CallLimit(20, 60.0)])
    one, other = processes.limits
    assert one.hit(CLIENT, 12).passes
    processes.tell()
    processes.clock.advance(1)
    assert other.hit(CLIENT, 8).passes
    processes.tell()
    processes.clock.advance(1)
    assert not one.hit(CLIENT).passes


def test_addresses_of_one_ipv6_network_are_one_client_at_all_processes() -> None:
    processes = Processes(2)
    texts = ["2001:db8::1", "2001:db8:0:0:ffff::2", "2001:db8:0:1::1"]
    first, same, other = [client_address({"client": (text, 1)}, 0) for text in texts]
    processes.limits[0].hit(first, 9)
    processes.tell()
    assert processes.limits[1].hit(same).left == 0
    assert processes.limits[1].hit(other).left == 9


def test_no_address_is_in_a_message() -> None:
    processes = Processes(2)
    processes.limits[0].hit(CLIENT)
    processes.tell()
    ((_, message),) = processes.network.sent
    assert parse_uses(message) == [(digest_of(CLIENT, KEY), 1)]
    assert CLIENT.encode() not in message
    assert bytes(map(int, CLIENT.split("."))) not in message


def test_processes_with_other_keys_share_nothing() -> None:
    processes = Processes(2, keys=[KEY, KEY[::-1]])
    processes.limits[0].hit(CLIENT, 9)
    processes.tell()
    assert processes.limits[1].hit(CLIENT).left == 9


@pytest.mark.parametrize("length", [0, 15, 65])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="16 to 64 bytes"):
        Processes(1, keys=[bytes(length)])


def test_the_key_is_made_of_the_password_and_the_name() -> None:
    def key(name: str, url: str) -> bytes:
        return key_of(Settings(cluster_name=name, redis_url=url))

    made = key("a", "redis://:p%40ss@one:6379/0")
    assert made == key("a", "rediss://gateway:p%40ss@two/0"), "hosts and users may differ"
    assert len({made, key("b", "redis://:p%40ss@one/0"), key("a", "redis://one/0")}) == 3
    assert len(made) == 64


def test_what_was_used_before_the_sharing_is_not_told(clock: ManualClock) -> None:
    limits, network = ClientLimits([MINUTE], clock), Network(clock)
    limits.hit(CLIENT, 3)
    shared = SharedLimits(limits, network.bus("p0"), KEY)
    shared.tell()
    assert network.sent == []
    shared.receive("p1", next(messages_of([(digest_of(CLIENT, KEY), 2)])))
    assert limits.hit(CLIENT, 2).left == 3, "its digest is known"
    shared.tell()
    assert [parse_uses(message) for _, message in network.sent] == [[(digest_of(CLIENT, KEY), 2)]]


# Bounds


def test_clients_that_were_told_or_dropped_use_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.edge.shared_limits.MAX_CLIENTS", 200)
    processes = Processes(2, max_clients=100)
    (one, other), (_, shared) = processes.limits, processes.shared
    other.hit(CLIENT)
    for number in range(0, 5_000, 50):
        for client in range(number, number + 50):
            one.hit(f"client {client}")
        processes.tell()
    assert len(shared._elsewhere) == 200
    assert other.hit(CLIENT, 0).left == 9, "a flood elsewhere drops no client of this process"
    for client in range(5_000, 10_000):
        other.hit(f"client {client}")
    assert len(other._logs) == len(shared._clients) == 100
    assert set(shared._clients.values()) == set(other._logs)


def test_a_dropped_client_is_counted_again_when_it_returns() -> None:
    processes = Processes(2, max_clients=3)
    one, other = processes.limits
    other.hit(CLIENT)
    for number in range(3):
        other.hit(f"client {number}")
    one.hit(CLIENT, 4)
    processes.tell()
    assert other.hit(CLIENT).left == 5
    one.hit(CLIENT, 2)
    processes.tell()
    assert other.hit(CLIENT).left == 2


def test_a_client_that_is_busy_elsewhere_is_not_the_first_to_be_dropped() -> None:
    processes = Processes(2, max_clients=2)
    one, other = processes.limits
    other.hit(CLIENT)
    other.hit("idle")
    one.hit(CLIENT, 5)
    processes.tell()
    other.hit("new")
    assert other.hit(CLIENT, 0).left == 4


def test_many_clients_are_told_in_several_messages() -> None:
    processes = Processes(2, max_clients=5_000)
    for number in range(2 * MAX_TOLD + 1):
        processes.limits[0].hit(f"client {number}")
    processes.tell()
    sizes = [len(parse_uses(message)) for _, message in processes.network.sent]
    assert sizes == [MAX_TOLD, MAX_TOLD, 1]
    assert processes.limits[1].hit(f"client {MAX_TOLD}").left == 8


def test_the_log_of_a_client_that_never_comes_is_bounded() -> None:
    processes = Processes(2, [CallLimit(1_000, 1.0)])
    for _ in range(500):
        processes.limits[0].hit(CLIENT)
        processes.tell()
        processes.clock.advance(0.1)
    logs = processes.shared[1]._elsewhere.get(digest_of(CLIENT, KEY))
    assert logs is not None
    (log,) = logs
    assert log.used <= 10
    assert len(log._older) <= 10


def test_only_clients_of_the_last_second_are_looked_at(clock: ManualClock) -> None:
    log = ClientLimits([MINUTE], clock).new_logs()[0]
    log.add(clock.monotonic(), 3)
    assert log.take_own() == 3
    assert log.take_own() is None
    assert log.count_one(clock.monotonic()) is None, "the next use has to be noticed"
    assert log.wait_s(clock.monotonic(), 1) == 0
    assert log.take_own() == 0


# Malice


@pytest.mark.parametrize("message", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_message_is_dropped_whole_and_counted(message: bytes) -> None:
    processes = Processes(1)
    (shared,) = processes.shared
    shared.receive("p9", message)
    assert counts_of(shared) == {"sent": 0, "received": 0, "malformed": 1}
    assert len(shared._elsewhere) == 0


@given(st.one_of(st.binary(), st.binary(max_size=100).map(VERSION.__add__)))
def test_no_message_raises(message: bytes) -> None:
    processes = Processes(1)
    (shared,) = processes.shared
    shared.receive("p9", message)
    counts = counts_of(shared)
    assert counts["received"] + counts["malformed"] == 1


def test_huge_numbers_of_units_fill_one_window_and_no_more() -> None:
    processes = Processes(1)
    (limits,), (shared,) = processes.limits, processes.shared
    message = next(messages_of([(digest_of(CLIENT, KEY), 10**30)] * MAX_TOLD))
    assert parse_uses(message)[0][1] == MAX_UNITS
    limits.hit(CLIENT)
    for _ in range(3):
        shared.receive("p9", message)
    shared.tell()
    ((_, told),) = processes.network.sent
    assert parse_uses(told) == [(digest_of(CLIENT, KEY), 1)]
    assert limits.hit(CLIENT) == (False, 0, 60)
    processes.clock.advance(60)
    assert limits.hit(CLIENT) == (True, 9, 60)


# The task


@pytest.mark.looptime
async def test_a_flood_at_two_processes_gets_the_limit_and_a_second_more() -> None:
    clock = LoopClock()
    network, passed = Network(clock, delay_s=0.0), [0, 0]
    limits = [ClientLimits([CallLimit(250, 60.0)], clock) for _ in passed]

    async def process(number: int) -> None:
        cluster = FakeCluster(network.bus(f"p{number}"))
        async with sharing(limits[number], cluster, KEY):
            for _ in range(1_000):
                passed[number] += limits[number].admit(CLIENT) is not None
                await asyncio.sleep(0.01)
                network.deliver()

    await asyncio.gather(process(0), process(1))
    assert 250 <= sum(passed) <= 250 + 100
    assert min(passed) >= 100


@pytest.mark.looptime
async def test_the_task_ends_with_its_owner_and_the_last_uses_are_told() -> None:
    clock = LoopClock()
    network, limits = Network(clock), ClientLimits([MINUTE], clock)
    async with sharing(limits, FakeCluster(network.bus("p0")), KEY):
        assert [task.get_name() for task in asyncio.all_tasks()].count("client limits") == 1
        await asyncio.sleep(3)
        assert network.sent == []
        limits.hit(CLIENT, 3)
    assert "client limits" not in [task.get_name() for task in asyncio.all_tasks()]
    assert [parse_uses(message) for _, message in network.sent] == [[(digest_of(CLIENT, KEY), 3)]]


@pytest.mark.looptime
@pytest.mark.parametrize("limits", [(MINUTE,), ()])
async def test_a_single_process_and_one_without_limits_share_nothing(
    limits: Sequence[CallLimit],
) -> None:
    network = Network(LoopClock())
    cluster = SingleProcess() if limits else FakeCluster(network.bus("p0"))
    async with sharing(ClientLimits(limits, LoopClock()), cluster, KEY) as shared:
        assert shared is None
        assert len(asyncio.all_tasks()) == 1
        assert not any(network._handlers.values())


# The application


@asynccontextmanager
async def application(bus: Bus) -> AsyncIterator[httpx.AsyncClient]:
    @asynccontextmanager
    async def opened(configuration: Configuration) -> AsyncIterator[Gateway]:
        async with open_gateway(configuration) as gateway:
            yield dataclasses.replace(gateway, cluster=FakeCluster(bus))

    app = create_app(read_configuration(), opened)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=(CLIENT, 51_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            yield client


async def test_two_applications_share_the_limit_of_a_client(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    surroundings.setattr("api.edge.shared_limits.TELL_INTERVAL_S", 0.01)
    for name, value in world.environment(CLIENT_RATE_LIMIT="5/minute", STATE_PATH="").items():
        surroundings.setenv(name, value)
    network = Network(ManualClock())
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(application(network.bus(name))) for name in "ab"
        ]
        for _ in range(3):
            await one.get("/api/gas")
        while sum(units for _, told in network.sent for _, units in parse_uses(told)) < 3:
            await asyncio.sleep(0.005)
        network.deliver()
        answers = [await other.get("/api/gas") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].headers["RateLimit"].startswith('"client";r=1;t=')
    told = dict.fromkeys("ab", 0)
    for name, message in network.sent:
        told[name] += sum(units for _, units in parse_uses(message))
    assert told == {"a": 3, "b": 2}


async def test_a_single_process_has_neither_task_nor_metric(serve: Serve) -> None:
    client = await serve()
    assert "client_limit_messages" not in (await client.get("/metrics")).text
    assert "client limits" not in [task.get_name() for task in asyncio.all_tasks()]


async def test_gateways_share_the_limit_of_a_client_over_a_real_store(
    world: World, surroundings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is told at the end, too."""
    with running(tmp_path) as store:
        settings = {"REDIS_URL": store.url, "CLUSTER_SIZE": "2", "CLIENT_RATE_LIMIT": "600/minute"}
        async with serving(world, surroundings, STATE_PATH="a.sqlite", **settings) as one:
            async with serving(world, surroundings, STATE_PATH="b.sqlite", **settings) as other:
                await use(other, 200)
                asked = await used_elsewhere(one, 200)
                await use(other, 100)
            await used_elsewhere(one, 300, asked)


async def use(client: httpx.AsyncClient, units: int) -> int:
    """Units that are left of the 600."""
    for _ in range(units):
        header = (await client.get("/api/status/explain?category=gas")).headers["RateLimit"]
    return int(header.partition("r=")[2].partition(";")[0])


async def used_elsewhere(client: httpx.AsyncClient, units: int, asked: int = 0) -> int:
    """Asks until `units` of others are known here, and gives the number of requests so far."""
    async with asyncio.timeout(5):
        while True:
            left, asked = await use(client, 1), asked + 1
            if left == 600 - units - asked:
                return asked
            await asyncio.sleep(0.1)
