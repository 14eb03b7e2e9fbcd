"""The stream's clients, its frames and the tick feed in `/metrics`."""

import asyncio

import httpx

from tests.api.stream.client import Served
from tests.scrape import samples


async def test_metrics_have_clients_frames_and_the_tick_feed(served: Served) -> None:
    before = samples((await served.get("/metrics")).text)
    async with served.reader("?channels=market") as reader:
        await reader.any()
        during = samples((await served.get("/metrics")).text)
    assert before["gateway_stream_clients"] == before["gateway_stream_messages_sent_total"] == 0
    assert before["gateway_tick_feed_state{provider=binance,state=off}"] == 1
    assert during["gateway_stream_clients"] == 1
    assert during["gateway_stream_messages_sent_total"] >= 1
    assert during["gateway_stream_messages_dropped_total"] == 0
    sent = served.broadcaster.counters().messages_sent
    assert during["gateway_stream_messages_sent_total"] <= sent


async def test_metrics_have_the_number_of_tasks(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url, trust_env=False) as client:
        tasks, before = len(asyncio.all_tasks()), -1
        while tasks != before:  # tasks of the start end in the meantime
            before = tasks
            read = samples((await client.get("/metrics")).text)["gateway_asyncio_tasks"]
            tasks = len(asyncio.all_tasks())
        assert read == tasks + 1  # the request's own
