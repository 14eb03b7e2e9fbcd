"""The line about processes: what this one is in the cluster."""

import pytest
from playwright.async_api import expect

from tests.cluster.fake_cluster import FakeCluster, member, two
from tests.dashboard.browser import Watched
from tests.dashboard.conftest import OpenPage
from tests.dashboard.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHONE = {"viewport": {"width": 390, "height": 844}}


async def test_a_single_process_says_so(watched: Watched) -> None:
    await expect(watched.of("#cluster")).to_have_text("One process")
    await expect(watched.of("#cluster")).to_have_attribute("data-kind", "off")


def leader() -> FakeCluster:
    return two()[0]


def follower() -> FakeCluster:
    cluster = two()[1]
    cluster.members = [*cluster.members, member("vm/2"), member("vm/3")]
    return cluster


def last_one() -> FakeCluster:
    cluster = two()[0]
    cluster.members = [member("vm/0", "leader")]
    return cluster


def without_link() -> FakeCluster:
    cluster = two()[1]
    cluster.role, cluster.is_connected, cluster.reason = "island", False, "the server is <b>away"
    return cluster


def without_leader() -> FakeCluster:
    cluster = two()[1]
    cluster.role, cluster.reason = "island", "the store is <b>full"
    return cluster


def excluded() -> FakeCluster:
    cluster = two()[1]
    cluster.role, cluster.reason = "excluded", "CLUSTER_SIZE differs"
    return cluster


@pytest.mark.parametrize(
    ("cluster", "kind", "text"),
    [
        (leader(), "off", "One of 2 processes · this one (vm/0) leads"),
        (follower(), "off", "One of 4 processes · process vm/0 leads"),
        (last_one(), "off", "The only process now · this one (vm/0) leads"),
        (
            without_link(),
            "stale",
            "Cut off from the other processes since 08:00:00 UTC: prices go on, news may be older",
        ),
        (
            without_leader(),
            "stale",
            "Without a leader (the store is <b>full) since 08:00:00 UTC: "
            "prices go on, news may be older",
        ),
        (
            excluded(),
            "bad",
            "Kept out by the other processes: CLUSTER_SIZE differs. It asks no provider",
        ),
    ],
    ids=["leader", "follower", "last one", "no link", "no leader", "excluded"],
)
async def test_the_page_says_what_the_process_is(
    stage: Stage, look: OpenPage, cluster: FakeCluster, kind: str, text: str
) -> None:
    stage.app.state.gateway.status.cluster = cluster
    async with look(stage.url, **PHONE) as watched:
        await expect(watched.of("#cluster")).to_have_text(text)
        await expect(watched.of("#cluster")).to_have_attribute("data-kind", kind)
        assert await watched.page.evaluate("document.documentElement.scrollWidth") == 390
