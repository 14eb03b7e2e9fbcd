"""The calls of a venue's message to the bytes of its readers: a bound on the work, not on time."""

import uvloop

from tests.benchmarks.tick_calls import calls


def test_a_tick_of_one_coin_takes_at_most_150_calls_to_its_reader() -> None:
    assert uvloop.run(calls(["C1"], pairs=1)) <= 150


def test_each_further_coin_and_reader_adds_few_calls() -> None:
    one, five = (uvloop.run(calls(None, pairs=pairs)) for pairs in (1, 5))
    assert five - one <= 4 * 42
    assert uvloop.run(calls(None, pairs=5, readers=21)) - five <= 20 * 5
