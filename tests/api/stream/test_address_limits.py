"""Limits of one client address: bounded, and forgotten when the clients have left."""

import pytest

from api.edge.client_limits import UNKNOWN
from api.stream.address_limits import AddressLimits, ClientSlots, TooManyClients

ONE, TWO, THREE = ("ohlc", "btc", "1h"), ("ohlc", "btc", "4h"), ("ohlc", "eth", "1h")


def test_an_address_has_at_most_its_share_of_the_clients() -> None:
    slots = ClientSlots(5, 0.5)
    for _ in range(2):
        slots.acquire("a")
    with pytest.raises(TooManyClients, match="2 clients per address"):
        slots.acquire("a")
    slots.acquire("b")
    slots.release("a")
    slots.acquire("a")


def test_all_addresses_together_have_at_most_all_places() -> None:
    slots = ClientSlots(3, 1.0)
    for address in ("a", "b", UNKNOWN):
        slots.acquire(address)
    for address in ("a", "c", UNKNOWN):
        with pytest.raises(TooManyClients, match="limit of 3 clients is"):
            slots.acquire(address)


def test_a_series_counts_once_for_all_clients_of_an_address() -> None:
    limits = AddressLimits(4, 0.5)
    for series in (ONE, TWO, ONE):
        assert limits.allows("a", [series])
        limits.follow("a", series)
    assert limits.allows("a", [ONE, TWO])
    assert not limits.allows("a", [ONE, THREE])
    assert limits.allows("b", [THREE])
    limits.unfollow("a", ONE)
    assert not limits.allows("a", [THREE]), "another client of the address follows it"
    limits.unfollow("a", ONE)
    assert limits.allows("a", [THREE])


def test_an_address_without_clients_and_series_uses_no_memory() -> None:
    slots, limits = ClientSlots(1_000, 0.5), AddressLimits(10, 0.5)
    for number in range(1_000):
        slots.acquire(str(number))
        limits.follow(str(number), ONE)
    assert repr(slots) == "<ClientSlots 1000 addresses>"
    assert repr(limits) == "<AddressLimits 1000 addresses>"
    for number in range(1_000):
        limits.unfollow(str(number), ONE)
        slots.release(str(number))
    assert (slots._clients, limits._followers) == ({}, {})


def test_refused_addresses_use_no_memory() -> None:
    slots = ClientSlots(1, 1.0)
    slots.acquire("a")
    for number in range(1_000):
        with pytest.raises(TooManyClients):
            slots.acquire(str(number))
    assert slots._clients == {"a": 1}


def test_each_address_may_have_one_client_and_an_unknown_one_any_number() -> None:
    slots, limits = ClientSlots(10, 0.01), AddressLimits(1, 0.1)
    assert (slots.most_of_address, limits.most_of_address) == (1, 1)
    for _ in range(5):
        slots.acquire(UNKNOWN)
    assert limits.allows(UNKNOWN, [ONE, TWO, THREE])
