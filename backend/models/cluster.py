"""This process's part in a cluster, as `/api/status` shows it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

#: `single`: REDIS_URL is empty. `leader`: calls providers for all. `follower`: asks the leader.
#: `island`: the store is away, or nobody leads; it calls within its share. `excluded`: its settings
#: differ from those of the running processes, so that it calls nobody.
Role = Literal["single", "leader", "follower", "island", "excluded"]
ROLES: tuple[str, ...] = get_args(Role)
Link = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """A process of the cluster, as it described itself `seen_seconds` ago.

    `process` is `<host>/<worker>`; `readers` is the number of its stream clients.
    """

    process: str
    role: Role
    readers: int
    version: str
    seen_seconds: float


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """Whether this process is the whole gateway, or what it is in a cluster.

    `name`, `process` and `link` are null for a single process. `size` is the largest number of
    processes, `leader` the process that calls providers for all, null if none is known; `term`
    rises with each takeover. `link` is the connection to the shared store. `reason` says why the
    process is an island or excluded. `since` is when this role began. `members` are the processes
    that the store knew at the last contact, this one included.
    """

    role: Role
    name: str | None = None
    process: str | None = None
    size: int = 1
    leader: str | None = None
    term: int = 0
    link: Link | None = None
    reason: str | None = None
    since: datetime | None = None
    members: tuple[MemberStatus, ...] = ()


SINGLE = ClusterStatus("single")
