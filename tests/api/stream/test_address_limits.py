"""What one address may hold of the stream: bounded, and forgotten when it is given back."""

from api.edge.client_address import UNKNOWN
from api.stream.limits import AddressLimits

ONE, TWO, THREE = ("ohlc", "btc", "1h"), ("ohlc", "btc", "4h"), ("ohlc", "eth", "1h")


def test_a_share_of_the_clients_is_one_addresss() -> None:
    shares = AddressLimits(5, 10, 0.5)
    for _ in range(2):
        assert shares.allows_client("a")
        shares.add_client("a")
    assert not shares.allows_client("a")
    assert shares.allows_client("b")
    shares.remove_client("a")
    assert shares.allows_client("a")


def test_a_series_that_it_follows_already_takes_no_more_room() -> None:
    shares = AddressLimits(10, 4, 0.5)
    for series in (ONE, TWO, ONE):
        assert shares.allows_series("a", [series])
        shares.follow("a", series)
    assert shares.allows_series("a", [ONE, TWO])
    assert not shares.allows_series("a", [ONE, THREE])
    assert shares.allows_series("b", [THREE])
    shares.unfollow("a", ONE)
    assert not shares.allows_series("a", [THREE]), "another of its readers follows it"
    shares.unfollow("a", ONE)
    assert shares.allows_series("a", [THREE])


def test_of_an_address_that_holds_nothing_nothing_is_kept() -> None:
    shares = AddressLimits(10, 10, 0.5)
    for number in range(1_000):
        shares.add_client(str(number))
        shares.follow(str(number), ONE)
    assert repr(shares) == "<AddressLimits 1000 addresses>"
    for number in range(1_000):
        shares.unfollow(str(number), ONE)
        shares.remove_client(str(number))
    assert (shares._clients, shares._followers) == ({}, {})


def test_there_is_always_one_place_and_an_unknown_address_has_no_bound() -> None:
    shares = AddressLimits(1, 1, 0.1)
    assert (shares.clients, shares.series) == (1, 1)
    for _ in range(5):
        assert shares.allows_client(UNKNOWN)
        shares.add_client(UNKNOWN)
    assert shares.allows_series(UNKNOWN, [ONE, TWO, THREE])
