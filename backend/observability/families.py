"""Builds Prometheus metric families from plain numbers; `gateway_` is put in front of each name."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

#: The values of a family's labels, in the order of their names.
Labels = tuple[str, ...]
Family = TypeVar("Family", CounterMetricFamily, GaugeMetricFamily)


def one_hot(states: Iterable[str], current: Mapping[str, str]) -> dict[Labels, float]:
    """By name and state: 1 for the current state of the name, 0 for every other state."""
    return {
        (name, each): float(each == state) for name, state in current.items() for each in states
    }


def _family(
    kind: type[Family],
    name: str,
    help_text: str,
    labels: Sequence[str],
    values: Mapping[Labels, float],
) -> Family:
    """`name` comes without `gateway_` and `_total`."""
    family = kind(f"gateway_{name}", help_text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


counter = partial(_family, CounterMetricFamily)
gauge = partial(_family, GaugeMetricFamily)
