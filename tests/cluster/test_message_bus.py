"""The bus between the processes of a cluster: what it hands out, and what it drops."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from backend.cluster import message_bus
from backend.cluster.message_bus import MOST_BYTES, MOST_UNSENT, MessageBus
from backend.cluster.redis_store import RedisStore
from backend.cluster.store import StoreUnavailable


class Store(RedisStore):
    """A store whose messages a test makes."""

    def __init__(self) -> None:
        super().__init__("redis://127.0.0.1:1", "test")
        self.is_connected = True
        self.sent: list[tuple[str, bytes]] = []
        self.incoming: list[tuple[str, bytes]] = []

    async def publish(self, channel: str, message: bytes) -> None:
        if not self.is_connected:
            raise StoreUnavailable("away")
        self.sent.append((channel, message))

    async def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        for one in self.incoming:
            yield one


async def sent_by(bus: MessageBus) -> None:
    task = asyncio.create_task(bus.run_sender())
    await asyncio.sleep(0.01)
    task.cancel()


async def test_a_message_names_its_sender_and_reaches_the_handlers_of_its_channel() -> None:
    store, heard = Store(), []
    bus = MessageBus(store, "me")
    bus.publish("ticks", b"a\nb")
    await sent_by(bus)
    assert store.sent == [("ticks", b"me\na\nb")]
    other = MessageBus(Store(), "other")
    other.subscribe("ticks", lambda sender, body: heard.append((sender, body)))
    other._store.incoming = [*store.sent, ("ask", b"me\nx")]  # type: ignore[attr-defined]
    await other.receive()
    assert heard == [("me", b"a\nb")]


async def test_own_messages_and_those_without_a_sender_are_not_handed_out() -> None:
    store, heard = Store(), []
    bus = MessageBus(store, "me")
    bus.subscribe("ask", lambda sender, body: heard.append(sender))
    store.incoming = [("ask", b"me\nx"), ("ask", b"junk"), ("ask", b""), ("nowhere", b"you\nx")]
    await bus.receive()
    assert heard == []


async def test_a_message_that_is_too_large_is_dropped() -> None:
    store, heard = Store(), []
    bus = MessageBus(store, "me")
    bus.subscribe("ask", lambda sender, body: heard.append(len(body)))
    store.incoming = [("ask", b"you\n" + bytes(MOST_BYTES)), ("ask", b"you\nx")]
    await bus.receive()
    assert (heard, bus.dropped) == ([1], 1)


async def test_a_handler_that_fails_costs_no_other_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, heard = Store(), []
    bus = MessageBus(store, "me")

    def fail(_sender: str, _body: bytes) -> None:
        raise RuntimeError("a bug")

    bus.subscribe("ask", fail)
    bus.subscribe("ask", lambda sender, body: heard.append(body))
    store.incoming = [("ask", b"you\n1"), ("ask", b"you\n2")]
    await bus.receive()
    assert heard == [b"1", b"2"]
    assert bus.dropped == 2
    assert "a message of channel ask was not handled" in caplog.text


async def test_unsent_messages_are_bounded_and_the_oldest_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store()
    bus = MessageBus(store, "me")
    for number in range(MOST_UNSENT + 5):
        bus.publish("hits", b"%d" % number)
    await sent_by(bus)
    assert [len(store.sent), store.sent[0][1], bus.dropped] == [MOST_UNSENT, b"me\n5", 5]
    monkeypatch.setattr(message_bus, "MOST_UNSENT_BYTES", 10)
    bus.publish("hits", b"12345678")
    bus.publish("hits", b"abcdefgh")
    await sent_by(bus)
    assert store.sent[MOST_UNSENT:] == [("hits", b"me\nabcdefgh")]


async def test_nothing_is_kept_for_a_store_that_is_away() -> None:
    store = Store()
    bus = MessageBus(store, "me")
    bus.publish("hits", b"1")
    store.is_connected = False
    bus.publish("hits", b"2")
    await sent_by(bus)
    store.is_connected = True
    await sent_by(bus)
    assert store.sent == []
    assert bus.dropped == 1
    bus.publish("hits", b"3")
    await sent_by(bus)
    assert store.sent == [("hits", b"me\n3")]
