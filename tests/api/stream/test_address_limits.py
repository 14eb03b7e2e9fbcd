"""Limits of one client address: bounded, and forgotten when the clients have left."""

from api.edge.client_limits import UNKNOWN
from api.stream.broadcaster import AddressLimits

ONE, TWO, THREE = ("ohlc", "btc", "1h"), ("ohlc", "btc", "4h"), ("ohlc", "eth", "1h")


def test_an_address_has_at_most_its_share_of_the_clients() -> None:
    limits = AddressLimits(5, 10, 0.5)
    for _ in range(2):
        assert limits.allows_client("a")
        limits.add_client("a")
    assert not limits.allows_client("a")
    assert limits.allows_client("b")
    limits.remove_client("a")
    assert limits.allows_client("a")


def test_a_series_counts_once_for_all_clients_of_an_address() -> None:
    limits = AddressLimits(10, 4, 0.5)
    for series in (ONE, TWO, ONE):
        assert limits.allows_series("a", [series])
        limits.follow("a", series)
    assert limits.allows_series("a", [ONE, TWO])
    assert not limits.allows_series("a", [ONE, THREE])
    assert limits.allows_series("b", [THREE])
    limits.unfollow("a", ONE)
    assert not limits.allows_series("a", [THREE]), "another client of the address follows it"
    limits.unfollow("a", ONE)
    assert limits.allows_series("a", [THREE])


def test_an_address_without_clients_and_series_uses_no_memory() -> None:
    limits = AddressLimits(10, 10, 0.5)
    for number in range(1_000):
        limits.add_client(str(number))
        limits.follow(str(number), ONE)
    assert repr(limits) == "<AddressLimits 1000 addresses>"
    for number in range(1_000):
        limits.unfollow(str(number), ONE)
        limits.remove_client(str(number))
    assert (limits._clients, limits._followers) == ({}, {})


def test_each_address_may_have_one_client_and_an_unknown_one_any_number() -> None:
    limits = AddressLimits(1, 1, 0.1)
    assert (limits.clients, limits.series) == (1, 1)
    for _ in range(5):
        assert limits.allows_client(UNKNOWN)
        limits.add_client(UNKNOWN)
    assert limits.allows_series(UNKNOWN, [ONE, TWO, THREE])
