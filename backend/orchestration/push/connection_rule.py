"""Which processes of a cluster are connected to the venues."""

from backend.clock import Clock
from backend.cluster.store import LEASE_S
from backend.models.cluster import Role

#: A process connects itself when it has been an island for this long, in seconds. It is one 1.2 s
#: after the leader's last message (membership.SILENT_S), so this is 4.2 s after it: by then the
#: lease is over (3 s), the next beat is made (0.5 s), and the takeover is complete.
ISLAND_S = LEASE_S


class ConnectionRule:
    """The leader is connected. An island keeps its connections, or opens them after ISLAND_S: then
    no other process is about to lead. Followers are not, nor excluded processes: they call nobody.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._island_since: float | None = None
        self.is_connected = False
        #: When that changed last (monotonic seconds).
        self.changed_at = float("-inf")

    def __repr__(self) -> str:
        return f"<ConnectionRule {'connected' if self.is_connected else 'relayed'}>"

    def note_role(self, role: Role) -> bool:
        """Decides anew. True if the decision has changed."""
        now = self._clock.monotonic()
        if role != "island":
            self._island_since = None
        elif self._island_since is None:
            self._island_since = now
        is_left_alone = self._island_since is not None and now - self._island_since >= ISLAND_S
        is_kept = role == "island" and self.is_connected
        is_connected = role in ("leader", "single") or is_kept or is_left_alone
        if is_connected == self.is_connected:
            return False
        self.is_connected, self.changed_at = is_connected, now
        return True
