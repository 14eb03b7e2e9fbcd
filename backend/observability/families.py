"""Builds Prometheus metric families from plain numbers; `gateway_` is put in front of each name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

#: The values of a family's labels, in the order of their names.
Labels = tuple[str, ...]
Family = TypeVar("Family", CounterMetricFamily, GaugeMetricFamily)


def counter(
    name: str, help_text: str, names: Sequence[str], values: Mapping[Labels, float]
) -> CounterMetricFamily:
    """`name` comes without `_total`, `names` are those of the labels."""
    return _filled(CounterMetricFamily(f"gateway_{name}", help_text, labels=names), values)


def gauge(
    name: str, help_text: str, names: Sequence[str], values: Mapping[Labels, float]
) -> GaugeMetricFamily:
    return _filled(GaugeMetricFamily(f"gateway_{name}", help_text, labels=names), values)


def one_hot(states: Iterable[str], current: Mapping[str, str]) -> dict[Labels, float]:
    """By name and state: 1 for the current state of the name, 0 for every other state."""
    listed = tuple(states)
    return {
        (name, each): float(each == state) for name, state in current.items() for each in listed
    }


def _filled(family: Family, values: Mapping[Labels, float]) -> Family:
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
