"""Fuzz: junk in every shape, at every door. It may only ever come out as an error of ours.

The examples are the same in every run (derandomised), few enough for CI. To look further by hand:

    FUZZ_FACTOR=50 python -m pytest tests/fuzz --timeout=3600

takes fifty times as many, other ones each time, and keeps those that failed in `.hypothesis`.
"""
