"""The processes of the cluster, as the replies to this process's beats list them."""

import json
import logging
from collections.abc import Iterable, Mapping

from backend.clock import Clock
from backend.cluster.contract import Member
from backend.cluster.store import MEMBER_S, BeatReply
from backend.models.cluster import ROLES

log = logging.getLogger("gateway")


class Members:
    """Knows who is there, who was there when the log of calls was whole last, and whether this
    process has a share."""

    def __init__(self, process: str, size: int, clock: Clock) -> None:
        """`size` is CLUSTER_SIZE."""
        self._process = process
        self._size = size
        self._clock = clock
        self._members: dict[str, Member] = {}
        self._at_whole_log: set[str] = set()
        self._surplus_since: float | None = None
        self._is_surplus_logged = False

    def __repr__(self) -> str:
        return f"<Members {len(self._members)} of {self._size}>"

    def __len__(self) -> int:
        return len(self._members)

    @property
    def is_surplus(self) -> bool:
        """True while as many others run as CLUSTER_SIZE says in all: the shares are theirs."""
        return self._surplus_since is not None

    def name_of(self, process: str) -> str:
        member = self._members.get(process)
        return member.name if member else process

    def with_own(self, own: Member) -> tuple[Member, ...]:
        """By name; this process as it is now, as its last beat may have another role."""
        members: Iterable[Member] = {**self._members, own.process: own}.values()
        return tuple(sorted(members, key=lambda one: one.name))

    def note(self, reply: BeatReply) -> None:
        """A reply to a beat of this process."""
        if not reply.is_broken:
            self._at_whole_log = set(reply.members)
        self._note_surplus(reply)
        self._members = {
            process: member
            for process, (seen_s, detail) in reply.members.items()
            if (member := _member(process, seen_s, detail))
        }

    def confirm(self, claims: Mapping[str, int]) -> bool:
        """True if all others have spoken since the store lost data, and nobody who was not there
        before it has led."""
        own = {self._process}
        missing = self._at_whole_log - own - set(claims)
        strangers = {process for process, term in claims.items() if term} - self._at_whole_log - own
        return not missing and not strangers

    def _note_surplus(self, reply: BeatReply) -> None:
        """A process that joins when all shares are taken has none, until another one leaves. One
        that died counts for some seconds more."""
        others = reply.members.keys() - {self._process}
        is_new = self._process not in reply.members
        if not (is_new or self.is_surplus):
            return
        now = self._clock.monotonic()
        if len(others) < self._size:
            self._surplus_since = None
        elif self._surplus_since is None:
            self._surplus_since = now
        elif now - self._surplus_since > MEMBER_S and not self._is_surplus_logged:
            self._is_surplus_logged = True
            text = "more processes run than CLUSTER_SIZE says (%d): this one has no share"
            log.warning(text, self._size)


def _member(process: str, seen_s: float, detail: str) -> Member | None:
    """None for what another version wrote."""
    try:
        found = json.loads(detail)
        name, role, version = str(found["name"]), found["role"], str(found["version"])
        readers = int(found["readers"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    if role not in ROLES:
        return None
    return Member(process, name[:200], role, version[:50], readers, seen_s)
