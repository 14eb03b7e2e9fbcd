from backend.orchestration.calls.endpoint import Hosts
from tests.clocks import ManualClock

A, B, C = "https://a.example", "https://b.example", "https://c.example"


def test_hosts_are_asked_in_the_order_given(clock: ManualClock) -> None:
    assert Hosts(clock, (A, B, C)).available() == (A, B, C)


def test_a_blocked_host_is_left_out_until_its_time(clock: ManualClock) -> None:
    hosts = Hosts(clock, (A, B))
    hosts.block(A, None)
    assert hosts.available() == (B,)
    assert hosts.wait_s() == 0
    clock.advance(1_800)
    assert hosts.available() == (A, B)


def test_each_further_block_of_a_host_lasts_twice_as_long_up_to_six_hours(
    clock: ManualClock,
) -> None:
    hosts, waits = Hosts(clock, (A,)), []
    for _ in range(6):
        hosts.block(A, None)
        waits.append(hosts.wait_s())
        clock.advance(waits[-1])
    assert waits == [1_800, 3_600, 7_200, 14_400, 21_600, 21_600]


def test_a_block_lasts_as_long_as_the_host_says(clock: ManualClock) -> None:
    hosts = Hosts(clock, (A,))
    hosts.block(A, 120)
    assert hosts.wait_s() == 120


def test_with_all_hosts_blocked_the_wait_ends_with_the_first_of_them(clock: ManualClock) -> None:
    hosts = Hosts(clock, (A, B))
    hosts.block(A, 500)
    hosts.block(B, 200)
    assert hosts.available() == ()
    assert hosts.wait_s() == 200
    assert repr(hosts) == "<Hosts 0 of 2>"


def test_a_failed_host_goes_to_the_end_of_the_queue(clock: ManualClock) -> None:
    hosts = Hosts(clock, (A, B, C))
    hosts.demote(A)
    assert hosts.available() == (B, C, A)


def test_concurrent_blocks_count_once_and_shorten_nothing(clock: ManualClock) -> None:
    hosts = Hosts(clock, (A,))
    for retry_after_s in (None, None, 5.0):
        hosts.block(A, retry_after_s)
    assert hosts.wait_s() == 1_800
    clock.advance(1_800)
    hosts.block(A, None)
    assert hosts.wait_s() == 3_600
