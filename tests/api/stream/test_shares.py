"""What one address may hold of the stream: bounded, and forgotten when it is given back."""

from api.edge.client_limits import UNKNOWN
from api.stream.shares import AddressShares

ONE, TWO, THREE = ("ohlc", "btc", "1h"), ("ohlc", "btc", "4h"), ("ohlc", "eth", "1h")


def test_a_share_of_the_places_is_one_addresss() -> None:
    shares = AddressShares(5, 10, 0.5)
    for _ in range(2):
        assert shares.has_place("a")
        shares.take_place("a")
    assert not shares.has_place("a")
    assert shares.has_place("b")
    shares.free_place("a")
    assert shares.has_place("a")


def test_a_series_that_it_follows_already_takes_no_more_room() -> None:
    shares = AddressShares(10, 4, 0.5)
    for series in (ONE, TWO, ONE):
        assert shares.has_room("a", [series])
        shares.follow("a", series)
    assert shares.has_room("a", [ONE, TWO])
    assert not shares.has_room("a", [ONE, THREE])
    assert shares.has_room("b", [THREE])
    shares.unfollow("a", ONE)
    assert not shares.has_room("a", [THREE]), "another of its readers follows it"
    shares.unfollow("a", ONE)
    assert shares.has_room("a", [THREE])


def test_of_an_address_that_holds_nothing_nothing_is_kept() -> None:
    shares = AddressShares(10, 10, 0.5)
    for number in range(1_000):
        shares.take_place(str(number))
        shares.follow(str(number), ONE)
    assert repr(shares) == "<AddressShares 1000 addresses>"
    for number in range(1_000):
        shares.unfollow(str(number), ONE)
        shares.free_place(str(number))
    assert (shares._places, shares._followed) == ({}, {})


def test_there_is_always_one_place_and_an_unknown_address_has_no_bound() -> None:
    shares = AddressShares(1, 1, 0.1)
    assert (shares.places, shares.series) == (1, 1)
    for _ in range(5):
        assert shares.has_place(UNKNOWN)
        shares.take_place(UNKNOWN)
    assert shares.has_room(UNKNOWN, [ONE, TWO, THREE])
