"""How plain numbers become Prometheus' families: `gateway_` in front, nothing global, no times."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

#: The values of a family's labels, in the order of their names.
Labels = tuple[str, ...]
Family = TypeVar("Family", CounterMetricFamily, GaugeMetricFamily)


def counter(
    name: str, told: str, names: Sequence[str], counted: Mapping[Labels, float]
) -> CounterMetricFamily:
    """`name` without its `_total`; `told` is the HELP text."""
    return _filled(CounterMetricFamily(f"gateway_{name}", told, labels=names), counted)


def gauge(
    name: str, told: str, names: Sequence[str], read: Mapping[Labels, float]
) -> GaugeMetricFamily:
    return _filled(GaugeMetricFamily(f"gateway_{name}", told, labels=names), read)


def one_of(states: Iterable[str], now: Mapping[str, str]) -> dict[Labels, float]:
    """For each that is in a state: 1 for that one, 0 for all others."""
    listed = tuple(states)
    return {(name, state): float(state == held) for name, held in now.items() for state in listed}


def _filled(family: Family, values: Mapping[Labels, float]) -> Family:
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
