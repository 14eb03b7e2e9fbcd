"""The channel `gas` by chain: one subscription and one `seq` for each chain."""

import asyncio
import json

import httpx
import pytest

from tests.api.stream.client import Served
from tests.api.stream.conftest import ServeStream


async def test_a_query_string_names_the_chain(served: Served) -> None:
    async with served.reader("?channels=gas&chain=base") as reader:
        subscribed = await reader.next(op="subscribed")
        assert (subscribed["channel"], subscribed["chain"]) == ("gas", "base")
        frame = await reader.next(op="data")
    assert (frame["channel"], frame["chain"], frame["data"]["chain"]) == ("gas", "base", "base")


async def test_without_a_chain_it_is_ethereum(served: Served) -> None:
    async with served.reader("?channels=gas") as reader:
        frame = await reader.next(op="data")
    assert (frame["chain"], frame["data"]["chain"], frame["seq"]) == ("ethereum", "ethereum", 1)


async def test_a_client_follows_several_chains_each_with_its_own_seq(
    serve_stream: ServeStream,
) -> None:
    async with serve_stream(CACHE_TTL_GAS="0.2") as served, served.reader() as reader:
        for number, chain in enumerate(("base", "BITCOIN", None), start=1):
            named = {"chain": chain} if chain else {}
            await reader.say(op="subscribe", id=number, channel="gas", **named)
            expected = (chain or "ethereum").lower()
            assert (await reader.next(op="subscribed", id=number))["chain"] == expected
        for chain in ("base", "ethereum"):
            while not any(one.get("seq") == 3 and one["chain"] == chain for one in reader.seen):
                await reader.any()
        frames = [one for one in reader.seen if one["op"] == "data"]
        for chain in ("base", "ethereum", "bitcoin"):
            numbers = [one["seq"] for one in frames if one["chain"] == chain]
            assert numbers == list(range(1, len(numbers) + 1))
            assert {one["data"]["chain"] for one in frames if one["chain"] == chain} == {chain}
        assert [one["seq"] for one in frames if one["chain"] == "bitcoin"] == [1]


async def test_one_chain_is_unsubscribed_or_all(served: Served) -> None:
    async with served.reader() as reader:
        for chain in ("base", "polygon", "bnb"):
            await reader.say(op="subscribe", channel="gas", chain=chain)
            await reader.next(op="data", chain=chain)
        (subscriber,) = served.broadcaster._subscribers
        await reader.say(op="unsubscribe", id=1, channel="gas", chain="polygon")
        assert (await reader.next(op="unsubscribed", id=1))["chain"] == "polygon"
        followed = {topic.channel.key for topic in subscriber.topics}
        assert followed == {("gas", "base"), ("gas", "bnb")}
        await reader.say(op="unsubscribe", id=2, channel="gas")
        await reader.next(op="unsubscribed", id=2)
        assert not subscriber.topics


async def test_two_clients_of_a_chain_share_one_feed(served: Served) -> None:
    async with (
        served.reader("?channels=gas&chain=base") as one,
        served.reader("?channels=gas&chain=base") as other,
        served.reader("?channels=gas") as third,
    ):
        for reader in (one, other, third):
            await reader.next(op="data")
        assert set(served.broadcaster._feeds) == {("gas", "base"), ("gas", "ethereum")}


async def test_a_chain_without_a_provider_is_an_error_of_that_chain(
    serve_stream: ServeStream,
) -> None:
    async with serve_stream(BASE_RPC_ENABLED="false") as served, served.reader() as reader:
        await reader.say(op="subscribe", channel="gas", chain="base")
        error = await reader.next(op="error")
        assert (error["channel"], error["chain"]) == ("gas", "base")
        await reader.say(op="subscribe", channel="gas")
        await reader.next(op="data", chain="ethereum")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("?channels=gas&chain=solana", "'ethereum', 'base'"),
        ("?channels=market&chain=base", "chain needs the channel gas"),
        ("?channels=gas&chain=", "must not be empty"),
    ],
)
async def test_a_chain_in_the_query_string_is_checked(
    served: Served, query: str, text: str
) -> None:
    async with served.reader(query) as reader:
        error = await reader.next(op="error")
    assert error["code"] == "invalid_parameter"
    assert text in error["message"]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"channel": "gas", "chain": "solana"}, "'ethereum', 'base'"),
        ({"channel": "gas", "chain": 1}, "must be a text"),
        ({"channel": "gas", "chain": [["base"]]}, "must be a text"),
        ({"channel": "gas", "chain": ""}, "'ethereum', 'base'"),
        ({"channel": "sentiment", "chain": "base"}, "sentiment takes no chain"),
    ],
)
async def test_a_chain_in_a_message_is_checked(
    served: Served, message: dict[str, object], text: str
) -> None:
    async with served.reader() as reader:
        await reader.say(op="subscribe", id=7, **message)
        error = await reader.next(op="error", id=7)
    assert error["code"] == "invalid_parameter"
    assert text in error["message"]


async def test_events_name_the_chain(served: Served) -> None:
    async with (
        asyncio.timeout(10),
        httpx.AsyncClient(base_url=served.url) as client,
        client.stream("GET", "/api/stream?channels=gas&chain=bitcoin") as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith('data: {"op":"data"'):
                frame = json.loads(line.removeprefix("data: "))
                assert (frame["chain"], frame["data"]["unit"]) == ("bitcoin", "sat/vB")
                return
