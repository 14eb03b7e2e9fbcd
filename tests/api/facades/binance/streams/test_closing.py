"""When clients of Binance's streams are closed: silence of the vendor, slow readers, the end."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from api.edge.client_limits import UNLIMITED
from api.facades.binance.streams.hub import MOST_UNREAD_BYTES, SILENCE_S, StreamHub
from api.stream.address_limits import ClientSlots, TooManyClients
from api.stream.sinks import QueueSink
from backend.errors import ConnectFailed, ConnectionBroken
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.push.raw_streams import RawStreams
from backend.providers.adapter import Window
from backend.providers.vendors.binance_raw_streams import RAW_FEED
from tests.api.facades.binance.streams.client import PRICE, TRADE, client, enveloped
from tests.api.stream.client import Served, until
from tests.api.stream.conftest import ServeStream
from tests.clocks import LoopClock
from tests.orchestration.push.test_tick_stream import Venue, now
from tests.wake_ups import noted_wake_ups
from tests.world.push import PushWorld

WAYS = pytest.mark.parametrize("direct", ["true", "false"])


class Bench:
    """A hub over a scripted venue, in virtual time."""

    def __init__(self) -> None:
        clock, self.venue = LoopClock(), Venue()
        streams = RawStreams(
            "binance",
            RAW_FEED,
            self.venue.connect,
            connects=RateLimitGuard(clock, [Window(300, 300)]),
            clock=clock,
            emit=lambda _event: None,
            jitter=lambda: 1.0,
        )
        self.hub = StreamHub(streams, clock=clock, slots=ClientSlots(10, 1.0), share=1.0)

    def reader(self, *names: str) -> QueueSink:
        sink = QueueSink()
        self.hub.subscribe(self.hub.join(sink, UNLIMITED, is_combined=False), names)
        return sink

    async def answer(self, seconds: float) -> None:
        """The venue replies to every command for so long."""
        ends, answered = now() + seconds, 0
        while now() < ends:
            if self.venue.open:
                for _, text in self.venue.line.sent[answered:]:
                    number = json.loads(text)["id"]
                    self.venue.line.say(b'{"result":null,"id":%d}' % number)
                answered = len(self.venue.line.sent)
            await asyncio.sleep(0.1)


@pytest.fixture
async def benches() -> AsyncIterator[list[Bench]]:
    made: list[Bench] = []
    yield made
    for bench in made:
        await bench.hub.aclose()


@pytest.mark.looptime
async def test_without_the_vendor_clients_are_closed_after_a_minute_so_that_they_reconnect(
    benches: list[Bench],
) -> None:
    bench = Bench()
    benches.append(bench)
    one, idle = bench.reader(TRADE), bench.reader()
    await bench.answer(100)
    assert not one.is_closing
    bench.venue.refusal = ConnectFailed("refused")
    bench.venue.line.say(ConnectionBroken("lost"))
    await asyncio.sleep(30)
    late = bench.reader(TRADE)
    await asyncio.sleep(SILENCE_S - 31)
    assert not one.is_closing
    await asyncio.sleep(3)
    assert (one.code, one.reason) == (1001, "no connection to binance for 60 s")
    assert not late.is_closing, "it has not waited for a minute"
    await asyncio.sleep(30)
    assert late.code == 1001
    assert not idle.is_closing, "it waits for nothing"


@pytest.mark.looptime
async def test_a_vendor_that_accepts_connections_and_says_nothing_counts_as_silent(
    benches: list[Bench],
) -> None:
    bench = Bench()
    benches.append(bench)
    one = bench.reader(TRADE)
    await asyncio.sleep(SILENCE_S + 2)
    assert one.code == 1001
    assert len(bench.venue.lines) >= 2


@pytest.mark.looptime
async def test_the_minute_is_over_when_it_is_over(benches: list[Bench]) -> None:
    bench = Bench()
    benches.append(bench)
    bench.venue.refusal = ConnectFailed("refused")
    one = bench.reader(TRADE)
    await asyncio.sleep(SILENCE_S / 2)
    two = bench.reader(TRADE)
    await asyncio.sleep(SILENCE_S / 2 - 0.1)
    assert not one.is_closing
    await asyncio.sleep(0.2)
    assert (one.code, two.is_closing) == (1001, False)
    await asyncio.sleep(SILENCE_S / 2)
    assert two.code == 1001


@pytest.mark.looptime
async def test_without_clients_nothing_wakes_the_process(benches: list[Bench]) -> None:
    bench = Bench()
    benches.append(bench)
    bench.reader()  # it follows no stream
    await asyncio.sleep(1)
    with noted_wake_ups() as woken_at:
        await asyncio.sleep(3_600)
    assert len(woken_at) <= 2


@pytest.mark.looptime
async def test_a_bug_at_one_client_does_not_end_the_checks(
    benches: list[Bench], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench()
    benches.append(bench)
    one = bench.reader(TRADE)
    with monkeypatch.context() as patch:
        patch.setattr(QueueSink, "close", lambda *_: 1 / 0)
        await asyncio.sleep(SILENCE_S + 2)
    assert "the check of the raw streams' clients failed" in caplog.text
    await asyncio.sleep(2)
    assert one.code == 1001


@pytest.mark.looptime
async def test_a_client_of_a_stream_without_frames_stays(benches: list[Bench]) -> None:
    bench = Bench()
    benches.append(bench)
    one = bench.reader(TRADE)
    await bench.answer(10 * SILENCE_S)
    assert not one.is_closing
    assert len(bench.venue.lines) == 1


@pytest.mark.looptime
async def test_nobody_joins_a_hub_that_has_ended(benches: list[Bench]) -> None:
    bench = Bench()
    benches.append(bench)
    one = bench.reader(TRADE)
    bench.hub.acquire_slot(UNLIMITED)
    await bench.hub.aclose()
    assert one.code == 1001
    assert bench.reader().code == 1001, "its handshake was under way"
    with pytest.raises(TooManyClients, match="stopping"):
        bench.hub.acquire_slot(UNLIMITED)


@WAYS
async def test_a_client_that_does_not_read_is_closed_and_costs_the_others_nothing(
    serve_stream: ServeStream, push: PushWorld, direct: str
) -> None:
    name = "!miniTicker@arr"
    data = json.dumps([{"s": "BTCUSDT", "c": "86000.10000000"}] * 5_000)
    async with (
        serve_stream(WS_DIRECT=direct, WS_STUCK_SECONDS="1") as served,
        client(served, f"/binance/ws/{name}", max_queue=1) as slow,
        client(served, f"/binance/ws/{name}") as fast,
    ):
        hub = served.app.state.raw_streams
        await push.until_asked(name)
        await until(lambda: hub.counters().clients == 2)
        for number in range(100):
            await push.tell(enveloped(name, f"[{number},{data}]"), name)
            assert (await fast.text()).startswith(f"[{number},")
            unread = [each.sink.buffered() for each in hub._clients]
            assert max(unread) < MOST_UNREAD_BYTES + 2 * len(data)
            if hub.counters().dropped:
                break
        assert hub.counters().dropped == 1
        await until(lambda: hub.counters().clients == 1, 20)
        await push.tell(enveloped(name, "7"), name)
        assert await fast.text() == "7"
        slow.connection.transport.abort()


@WAYS
async def test_the_end_of_the_gateway_is_a_reason_to_reconnect(
    serve_stream: ServeStream, push: PushWorld, direct: str
) -> None:
    async with (
        serve_stream(WS_DIRECT=direct) as served,
        client(served, f"/binance/ws/{TRADE}") as one,
    ):
        await push.until_asked(TRADE)
        await push.tell(enveloped(TRADE), TRADE)
        assert await one.text() == PRICE
        served.server.should_exit = True
        assert await one.closed() == (1001, "the gateway is stopping")
    await push.until_closed()


async def test_clients_are_pinged_each_twenty_seconds(served: Served) -> None:
    assert served.server.config.ws_ping_interval == 20


async def test_a_message_that_is_too_big_ends_the_connection(served: Served) -> None:
    async with client(served) as one:
        await one.connection.send("x" * 70_000)
        code, _ = await one.closed()
        assert code == 1009
