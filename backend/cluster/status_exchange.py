"""The leader's status, which it tells the other processes of the cluster."""

import asyncio
import logging
from collections.abc import Callable
from functools import cached_property

from pydantic import TypeAdapter, ValidationError

from backend.clock import Clock
from backend.cluster.contract import Cluster
from backend.models.status import LeaderStatus

log = logging.getLogger("gateway")

#: Interval at which the leader tells its status, in seconds.
TELL_INTERVAL_S = 2.0
#: A status that was received longer ago is not shown, in seconds.
MAX_AGE_S = 10.0
#: Largest status that is accepted, in bytes: many times that of all providers.
MOST_BYTES = 1024 * 1024


class StatusExchange:
    """Tells this process's status while it leads, and keeps the newest one that it heard.

    Without another process nothing is told. `run` tells until it is cancelled.
    """

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._heard: LeaderStatus | None = None
        self._heard_at = float("-inf")
        #: Messages that were dropped, as they were malformed or too large.
        self.malformed = 0
        cluster.bus.subscribe("status", self._on_status)

    def __repr__(self) -> str:
        return f"<StatusExchange {'has' if self.newest else 'without'} the leader's>"

    @property
    def newest(self) -> LeaderStatus | None:
        """The leader's status; None while no other process leads, or if none came lately."""
        age_s = self._clock.monotonic() - self._heard_at
        return self._heard if self._cluster.hears_leader and age_s <= MAX_AGE_S else None

    async def run(self, read: Callable[[], LeaderStatus]) -> None:
        """`read` is this process's own status."""
        while True:
            self.tell(read)
            await asyncio.sleep(TELL_INTERVAL_S)

    def tell(self, read: Callable[[], LeaderStatus]) -> None:
        """Tells the status once, if this process leads others."""
        if not self._cluster.leads or len(self._cluster.state().members) < 2:
            return
        try:
            self._cluster.bus.publish("status", self._adapter.dump_json(read()))
        except Exception:  # a bug here must not end the leader's other statuses
            log.exception("the status of this process could not be told")

    def _on_status(self, _sender: str, message: bytes) -> None:
        if self._cluster.leads:
            return
        try:
            if len(message) > MOST_BYTES:
                raise ValueError("too large")
            self._heard = self._adapter.validate_json(message)
        except (ValidationError, ValueError):  # of another version, or damaged
            self.malformed += 1
            return
        self._heard_at = self._clock.monotonic()

    @cached_property
    def _adapter(self) -> TypeAdapter[LeaderStatus]:
        """Built by the first message: a single process never needs it."""
        return TypeAdapter(LeaderStatus)
