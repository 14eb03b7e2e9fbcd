"""The files of docs/deploy, and the blocks of its pages by their marks."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.readme.document import ROOT

FOLDER = ROOT / "docs" / "deploy"


def text_of(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def block(name: str, mark: str) -> str:
    """The fenced block below `<!-- MARK -->` of a page."""
    pattern = rf"^<!-- {re.escape(mark)} -->\n```\w+\n(.*?)^```"
    (found,) = re.findall(pattern, text_of(name), re.MULTILINE | re.DOTALL)
    return str(found)


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text_of("compose.yaml"))
    return found


def manifests(mark: str) -> dict[str, dict[str, Any]]:
    """The objects of a block of kubernetes.md, by kind."""
    objects = list(yaml.safe_load_all(block("kubernetes.md", f"manifest: {mark}")))
    by_kind = {one["kind"]: one for one in objects}
    assert len(by_kind) == len(objects)
    return by_kind


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"]}


def acl_rules() -> list[str]:
    """The words behind `ACL SETUSER gateway` of managed-redis.md."""
    words = block("managed-redis.md", "acl: the gateway's user").split()
    assert words[:3] == ["ACL", "SETUSER", "gateway"]
    return words[3:]


def directives(path: Path) -> dict[str, list[str]]:
    """The directives of a systemd unit, each with all its values."""
    found: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found
