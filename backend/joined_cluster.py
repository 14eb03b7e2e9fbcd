"""A process that has joined a cluster: what it shares, and how it becomes the leader."""

import logging
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry

from backend.cache.answer_exchange import AnswerExchange
from backend.clock import Clock
from backend.cluster.leadership import Takeover
from backend.cluster.membership import Membership
from backend.cluster.shared_storage import SharedStorage
from backend.cluster.status_exchange import StatusExchange
from backend.environment import SettingsError
from backend.observability.cluster_metrics import ClusterMetrics, ClusterReading
from backend.observability.worker_metrics import WorkerMetrics
from backend.orchestration.limits.cluster_guard import ClusterLimits
from backend.orchestration.provider_factory import ProviderFactory
from backend.settings import Configuration, Settings
from backend.storage.contract import Storage, discard_invalid

log = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True)
class JoinedCluster:
    """The parts of one process that it shares with the others. `membership` has a task to run;
    `workers` is the number of worker processes of this machine."""

    membership: Membership
    storage: SharedStorage
    limits: ClusterLimits
    clock: Clock
    workers: int

    def take_over_with(self, factory: ProviderFactory) -> None:
        """At each takeover the limits of `factory` are restored from the log of all calls."""
        self.membership.take_over = partial(self._take_over, factory)

    def add_metrics(
        self, registry: CollectorRegistry, answers: AnswerExchange, statuses: StatusExchange
    ) -> WorkerMetrics | None:
        """Adds the cluster's metrics to `registry`. Returns what answers a scrape for all workers
        of this machine; None if this is the only one."""
        membership, workers = self.membership, None
        if self.workers > 1:
            workers = WorkerMetrics(
                registry,
                membership.bus,
                worker=self.limits.worker,
                workers=self.workers,
                is_connected=lambda: membership.store.is_connected,
            )

        def read() -> ClusterReading:
            malformed = statuses.malformed + (workers.malformed if workers else 0)
            return self._reading(answers, malformed)

        registry.register(ClusterMetrics(read))
        return workers

    def _reading(self, answers: AnswerExchange, malformed: int) -> ClusterReading:
        membership, bus = self.membership, self.membership.bus
        return ClusterReading(
            membership.state(),
            link_falls=membership.falls,
            takeovers=membership.takeovers,
            fenced=membership.fenced,
            share_calls=self.limits.share_calls,
            asked=answers.asked,
            asked_s=answers.asked_s,
            sent_bytes=bus.sent_bytes,
            received_bytes=bus.received_bytes,
            dropped=bus.dropped + malformed,
        )

    async def _take_over(self, factory: ProviderFactory, takeover: Takeover) -> bool:
        """Counts the calls of all processes, and marks the store's log as complete."""
        found = await self.storage.read_log(takeover)
        saved, problems = discard_invalid(found, self.clock.now().timestamp())
        for problem in problems:
            log.warning("REDIS_URL: %s and is set aside", problem)
        spans_machines = self.limits.processes > self.workers
        has_past = takeover.has_past or (spans_machines and self.storage.has_past)
        # Calls that were set aside may have been made a moment ago.
        is_complete = (takeover.log_is_complete or not has_past) and saved.calls == found.calls
        assumed = factory.restore(saved, log_is_complete=is_complete)
        return await self.storage.write_log(assumed)


def check_store(settings: Settings) -> None:
    """Raises SettingsError if REDIS_URL cannot be used, whatever the store's state. Blocks."""
    try:
        from backend.cluster.outside import check_login  # noqa: PLC0415 - redis is an extra
    except ModuleNotFoundError:
        extra = "pip install '.[cluster]'"
        raise SettingsError(f"REDIS_URL: redis-py is not installed; {extra} brings it") from None
    check_login(settings)


async def join_cluster(configuration: Configuration, own: Storage, clock: Clock) -> JoinedCluster:
    """Connected to the store, if that can be reached now. `own` is the process's own storage."""
    from backend.cluster.opening import open_membership  # noqa: PLC0415 - redis is an extra

    membership = open_membership(configuration, clock)
    await membership.connect()
    limits = ClusterLimits(
        leads=lambda: membership.leads,
        has_share=lambda: membership.has_share,
        processes=membership.identity.size,
        worker=configuration.worker,
    )
    storage = SharedStorage(own, membership, clock, writes_answers=configuration.worker == 0)
    return JoinedCluster(membership, storage, limits, clock, configuration.gateway.workers)
