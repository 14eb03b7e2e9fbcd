"""Grafana's dashboards in docs/deploy, and which metrics and labels a PromQL query names."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.deploy.documents import FOLDER

DASHBOARDS = tuple(sorted(path.name for path in FOLDER.glob("grafana-*.json")))
#: Labels that Prometheus itself adds.
OF_PROMETHEUS = {"job", "instance"}
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{((?:[^}\"]|\"(?:[^\"\\]|\\.)*\")*)\}")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


def dashboard(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return found


def targets(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The title of the panel, and the query."""
    for panel in dashboard(name)["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target


@dataclass(frozen=True, slots=True)
class Matcher:
    label: str
    operator: str
    value: str

    def accepts(self, value: str) -> bool:
        """Regular expressions match the whole value, as in Prometheus."""
        if "~" in self.operator:
            is_match = re.fullmatch(self.value, value) is not None
        else:
            is_match = value == self.value
        return is_match is not self.operator.startswith("!")


@dataclass(frozen=True, slots=True)
class Selector:
    """`metric{matchers}`."""

    metric: str
    matchers: tuple[Matcher, ...] = field(default=())


def with_range(expression: str, rate_interval: str = "1m") -> str:
    """The query with Grafana's variables filled in: all jobs and instances."""
    return re.sub(
        r"\$(job|instance)\b", ".*", expression.replace("$__rate_interval", rate_interval)
    )


def selectors(expression: str) -> list[Selector]:
    """Each of our metrics stands with braces, so that none is overlooked."""
    found = [
        Selector(metric, tuple(Matcher(*one) for one in _MATCHER.findall(matchers)))
        for metric, matchers in _SELECTOR.findall(expression)
    ]
    named = re.findall(r"\bgateway_\w+", _STRING.sub('""', expression))
    assert named == [one.metric for one in found], expression
    return found


def grouped_labels(expression: str) -> set[str]:
    lists = _GROUPING.findall(_STRING.sub('""', expression))
    return {label.strip() for one in lists for label in one.split(",")}
