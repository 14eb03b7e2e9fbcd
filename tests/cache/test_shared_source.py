"""A category's source in a cluster: whom it asks, and when it waits for the next leader."""

from dataclasses import dataclass, field

import pytest

from backend.cache.answer_exchange import AnswerExchange
from backend.cache.answer_messages import MessageCodec
from backend.cache.shared_source import SharedSource
from backend.errors import AllProvidersFailed
from backend.models.answer import Answer
from backend.models.cluster import Role
from backend.models.gas import GasFees, GasQuery
from tests.clocks import EPOCH, LoopClock
from tests.cluster.fake_cluster import FakeBus, FakeCluster, FakeNetwork

FEES = GasFees("ethereum", "gwei", 1.0, 2.0, 3.0, None, 1, "fee_history")
QUERY = GasQuery("ethereum", is_urgent=True)


@dataclass
class Providers:
    """Answer while `cluster` has one of these roles, and refuse else. With `is_fenced` the first
    call ends the lead, as a store does that does not record it."""

    cluster: FakeCluster
    roles: tuple[str, ...]
    is_fenced: bool = False
    asked_as: list[str] = field(default_factory=list)

    async def fetch(self, query: GasQuery) -> Answer[GasFees]:
        self.asked_as.append(self.cluster.role)
        if self.is_fenced:
            self.cluster.role, self.is_fenced = "island", False
            raise AllProvidersFailed("not recorded")
        if self.cluster.role not in self.roles:
            raise AllProvidersFailed("no share")
        return Answer(FEES, "a", EPOCH, 1.0)


def shared_source(providers: Providers) -> SharedSource[GasQuery, GasFees]:
    clock = LoopClock()
    exchange = AnswerExchange(providers.cluster, MessageCodec({}), {}, clock)
    return SharedSource("gas", providers, exchange, providers.cluster, clock=clock, deadline_s=4)


def cluster_of(role: Role) -> FakeCluster:
    """Without a store."""
    return FakeCluster(FakeBus(FakeNetwork(), "me"), role, is_connected=False)


async def test_a_leader_whose_call_was_refused_uses_its_share() -> None:
    providers = Providers(cluster_of("leader"), ("leader", "island"), is_fenced=True)
    assert (await shared_source(providers).fetch(QUERY)).data == FEES
    assert providers.asked_as == ["leader", "island"]


@pytest.mark.looptime
async def test_a_question_is_refused_at_once_where_no_leader_is_expected() -> None:
    providers = Providers(cluster_of("island"), ())
    clock = LoopClock()
    began = clock.monotonic()
    with pytest.raises(AllProvidersFailed):
        await shared_source(providers).fetch(QUERY)
    assert clock.monotonic() == began
    assert providers.asked_as == ["island"]
