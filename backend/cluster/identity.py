"""Who a process is to the others of its cluster."""

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """`process` is unique; `name` is `<host>/<worker>`. `settings` must be equal in all processes:
    a JSON object by the names of the variables."""

    process: str
    name: str
    cluster: str
    version: str
    size: int
    may_lead: bool
    settings: str


def differences(own: str, running: str) -> list[str]:
    """The names of the settings that differ, of two processes' `Identity.settings`."""
    try:
        ours, theirs = json.loads(own), json.loads(running)
        return sorted(name for name in ours | theirs if ours.get(name) != theirs.get(name))
    except (TypeError, ValueError):
        return ["the version"]
