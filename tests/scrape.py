"""Reads Prometheus' text as a scraper would: every sample by its series."""

from prometheus_client.parser import text_string_to_metric_families


def samples(text: str) -> dict[str, float]:
    """Values by `name{label=value,...}`, labels in order of their names; empty ones are none."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        assert family.name.startswith("gateway_"), family
        assert family.documentation, family
        for sample in family.samples:
            assert sample.timestamp is None
            series = _series(sample.name, sample.labels)
            assert series not in found, f"{series} stands there twice"
            found[series] = sample.value
    return found


def _series(name: str, labels: dict[str, str]) -> str:
    told = ",".join(f"{label}={value}" for label, value in sorted(labels.items()) if value)
    return f"{name}{{{told}}}" if told else name
