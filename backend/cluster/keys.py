"""The names of the cluster's keys in the shared store."""

import socket
from dataclasses import dataclass

#: The version of what the keys contain. Processes of different versions do not form a cluster.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of the cluster `name`: in one hash slot, so that a script may use all of them."""

    name: str

    @property
    def settings(self) -> str:
        """Of all formats, as `members`, so that processes of different ones see each other."""
        return f"{{gw:{self.name}}}:settings"

    @property
    def members(self) -> str:
        return f"{{gw:{self.name}}}:members"

    @property
    def prefix(self) -> str:
        """Before all other keys, and before the names of the channels."""
        return f"{{gw:{self.name}}}:v{FORMAT}:"

    def of(self, *names: str) -> tuple[str, ...]:
        return tuple(f"{self.prefix}{name}" for name in names)


def process_prefix(pid: int) -> str:
    """With what the id of a process of this machine begins."""
    return f"{socket.gethostname()}:{pid}:"


def redis_scheme(url: str) -> str:
    """`url` with the scheme that redis-py knows."""
    return url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
