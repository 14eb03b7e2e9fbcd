"""Benchmarks: run by hand or by CI's smoke run, never collected as tests."""
