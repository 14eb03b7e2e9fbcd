"""News, sentiment and gas over the whole stack, in front of real loopback sockets."""

import asyncio
import csv
import io
from typing import Any

import httpx
import pytest

from tests.api.conftest import Serve
from tests.world import feeds
from tests.world.server import WITH_LISTS, World

ARTICLE = {
    "id",
    "title",
    "url",
    "source",
    "provider",
    "published_at",
    "summary",
    "image",
    "symbols",
    "sentiment",
    "sentiment_score",
    "sentiment_method",
}
KEYS = {
    "CRYPTOPANIC_API_KEY": "panickeyofthistest0001",
    "NEWSAPI_API_KEY": "newskeyofthistest00002",
    "ETHERSCAN_API_KEY": "SCANKEYOFTHISTEST00003",
}
FEEDS = set(feeds.PUBLISHERS)
ROUTES = ("/api/market", "/api/market/ohlc?symbol=BTC", "/api/news", "/api/sentiment", "/api/gas")


async def states(client: httpx.AsyncClient) -> dict[str, tuple[str, str | None]]:
    rows = (await client.get("/api/status")).json()["providers"]
    return {row["name"]: (row["status"], row["reason"]) for row in rows}


async def test_without_provider_keys_every_route_answers_with_real_data(
    client: httpx.AsyncClient,
) -> None:
    answers = {route: await client.get(route) for route in ROUTES}
    assert {answer.status_code for answer in answers.values()} == {200}
    assert all(answer.json()["data"] for answer in answers.values())
    sources = {route: answer.json()["meta"]["source"] for route, answer in answers.items()}
    assert set(sources["/api/news"]) == FEEDS
    assert sources["/api/sentiment"] == "alternative_me"
    assert sources["/api/gas"] == "ethereum_rpc"
    rows = (await client.get("/api/status")).json()["providers"]
    hints = {row["name"]: row["hint"] for row in rows if row["status"] == "not_configured"}
    assert hints == {
        name: f"set {name.upper()}_API_KEY to use it"
        for name in ("coingecko_pro", "cryptopanic", "newsapi", "etherscan", "etherscan_backup")
    }


async def test_news_of_all_providers_is_merged_cleaned_and_tagged(serve: Serve) -> None:
    client = await serve(**KEYS)
    await client.get(
        "/api/market"
    )  # on a busy machine the news would not wait for the coins' names
    answer = await client.get("/api/news?limit=200")
    rows: list[dict[str, Any]] = answer.json()["data"]
    assert {frozenset(row) for row in rows} == {frozenset(ARTICLE)}
    assert {row["provider"] for row in rows} == FEEDS | {"cryptopanic", "newsapi"}
    assert len({row["url"] for row in rows}) == len(rows)
    assert len({row["title"].casefold() for row in rows}) == len(rows)
    assert [row["published_at"] for row in rows] == sorted(
        (row["published_at"] for row in rows), reverse=True
    )
    for row in rows:
        assert "<" not in f"{row['title']}{row['summary']}"
        assert "utm_" not in row["url"]
        assert len(row["summary"] or "") <= 300
    assert "appeared first" not in answer.text
    assert "THE WHOLE TEXT" not in answer.text
    tagged = {row["title"]: row["symbols"] for row in rows}
    assert tagged["Bitcoin climbs on rss_coindesk"] == ["BTC"]
    voted = next(row for row in rows if row["sentiment_method"] == "votes")
    assert (voted["provider"], voted["sentiment"]) == ("cryptopanic", "positive")
    assert KEYS["CRYPTOPANIC_API_KEY"] not in answer.text


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("limit=3", 3),
        ("symbols=btc&source=rss_coindesk", 1),
        ("source=CoinDesk&limit=2", 2),
        ("sentiment=negative&source=rss_decrypt", 1),
        ("since=2040-01-01", 0),
        ("since=2020-01-01&limit=4", 4),
    ],
)
async def test_filters_cause_no_upstream_call(
    world: World, client: httpx.AsyncClient, query: str, count: int
) -> None:
    await client.get("/api/news")
    before = sum(world.calls.values())
    answer = await client.get(f"/api/news?{query}")
    assert len(answer.json()["data"]) == count
    assert sum(world.calls.values()) == before


async def test_a_failed_feed_is_named_and_the_others_are_served(
    world: World, client: httpx.AsyncClient
) -> None:
    world.faults["rss_coindesk"] = "http500"
    document = (await client.get("/api/news?limit=200")).json()
    tried = {row["provider"]: row["outcome"] for row in document["meta"]["tried"]}
    assert tried == dict.fromkeys(FEEDS, "ok") | {"rss_coindesk": "upstream_5xx"}
    assert {row["provider"] for row in document["data"]} == FEEDS - {"rss_coindesk"}


async def test_a_table_of_news_has_plain_cells(reader: httpx.AsyncClient) -> None:
    table = (await reader.get("/api/news?symbols=bitcoin&format=csv")).text
    rows = list(csv.DictReader(io.StringIO(table)))
    assert {row["symbols"] for row in rows} == {"BTC"}
    assert len(rows) == len(FEEDS)


async def test_a_silent_feed_delays_the_answer_only_by_its_share(
    world: World, serve: Serve
) -> None:
    world.faults["rss_coindesk"] = "silence"
    client = await serve(PROVIDER_TIMEOUT="3", REQUEST_DEADLINE="2")
    answer = await client.get("/api/news")
    assert answer.status_code == 200
    assert answer.json()["meta"]["tried"][0] | {"latency_ms": 0} == {
        "provider": "rss_coindesk",
        "outcome": "timeout",
        "latency_ms": 0,
    }


async def test_a_feed_is_revalidated_by_its_etag(world: World, serve: Serve) -> None:
    client = await serve(CACHE_TTL_NEWS="0.05")
    first = await client.get("/api/news?limit=200")
    for _ in range(3):
        await asyncio.sleep(0.15)
        again = await client.get("/api/news?limit=200")
    assert again.json()["data"] == first.json()["data"]
    assert world.not_modified["rss_coindesk"] >= 2
    assert (await states(client))["rss_coindesk"] == ("active", None)


async def test_a_feed_behind_a_redirect_is_read_and_revalidated(world: World, serve: Serve) -> None:
    url = f"{world.url('rss_thedefiant')}/feed"
    client = await serve(CACHE_TTL_NEWS="0.05", RSS_THEDEFIANT_BASE_URL=url)
    for _ in range(3):
        rows = (await client.get("/api/news?source=rss_thedefiant")).json()["data"]
        await asyncio.sleep(0.15)
    assert {row["source"] for row in rows} == {"The Defiant"}
    assert world.paths["rss_thedefiant"][:4] == ["/feed", "/feed/"] * 2
    assert world.not_modified["rss_thedefiant"] >= 1
    assert world.overruns == []


async def test_feeds_are_not_called_more_often_than_their_ttl(world: World, serve: Serve) -> None:
    client = await serve(CACHE_TTL_NEWS="0.02")
    for _ in range(30):
        assert (await client.get("/api/news")).status_code == 200
        await asyncio.sleep(0.05)
    assert world.calls["rss_coindesk"] <= 14
    assert world.overruns == []


async def test_without_any_feed_news_is_the_precise_error(
    world: World, client: httpx.AsyncClient
) -> None:
    world.faults |= dict.fromkeys(FEEDS, "http500")
    answer = await client.get("/api/news")
    assert (answer.status_code, answer.json()["code"]) == (503, "all_providers_failed")
    assert int(answer.headers["retry-after"]) > 0


async def test_sentiment_history_is_cut_by_days_with_its_attribution(
    reader: httpx.AsyncClient,
) -> None:
    rows = (await reader.get("/api/sentiment?days=30")).json()["data"]
    assert len(rows) == 29  # the world has lost one day
    assert {row["index"] for row in rows} == {"alternative_me"}
    assert "alternative.me" in rows[0]["attribution"].lower()
    assert [row["timestamp"] for row in rows] == sorted(
        (row["timestamp"] for row in rows), reverse=True
    )


async def test_the_other_index_is_served_under_its_own_name(world: World, serve: Serve) -> None:
    client = await serve(**WITH_LISTS)
    world.faults["alternative_me"] = "http500"
    document = (await client.get("/api/sentiment?days=7")).json()
    assert document["meta"]["source"] == "coinmarketcap"
    assert {row["index"] for row in document["data"]} == {"coinmarketcap"}


async def test_the_indexs_next_update_bounds_its_freshness(
    world: World, client: httpx.AsyncClient
) -> None:
    world.time_until_update = 90
    answer = await client.get("/api/sentiment")
    assert answer.headers["cache-control"] in ("public, max-age=89", "public, max-age=90")


async def test_gas_keeps_its_decimals_and_names_its_method(serve: Serve) -> None:
    client = await serve(**KEYS)
    answer = await client.get("/api/gas")
    assert answer.json()["meta"]["source"] == "etherscan"
    assert '"slow":0.512345678,"average":0.512345679,"fast":0.61' in answer.text
    assert answer.json()["data"]["method"] == "oracle"


async def test_a_refused_key_fails_over_and_is_not_disclosed(world: World, serve: Serve) -> None:
    bad = "badKEYOFTHISTEST000004"
    client = await serve(
        ETHERSCAN_API_KEY=bad, ETHERSCAN_BACKUP_API_KEY="GOODBACKUP0005", CACHE_TTL_GAS="0.05"
    )
    texts, sources = [], []
    for _ in range(4):
        answer = await client.get("/api/gas")
        sources.append(answer.json()["meta"]["source"])
        texts.append(answer.text)
        await asyncio.sleep(0.6)
    # The refused calls took this second's share of the account that both keys are taken for.
    assert sources[0] == "ethereum_rpc"
    assert sources[-1] == "etherscan_backup"
    assert world.calls["etherscan"] == 2
    assert (await states(client))["etherscan"] == ("auth_failed", "auth_failed")
    texts.append((await client.get("/api/status")).text)
    assert all(bad not in text for text in texts)


@pytest.mark.parametrize("name", ["cryptopanic", "newsapi"])
async def test_a_refused_news_key_is_not_disclosed_and_other_news_is_served(
    world: World, serve: Serve, name: str
) -> None:
    bad = "badkeyofthistest000006"
    client = await serve(**{f"{name.upper()}_API_KEY": bad, "CACHE_TTL_NEWS": "0.05"})
    texts = []
    for _ in range(4):
        answer = await client.get("/api/news?limit=200")
        assert {row["provider"] for row in answer.json()["data"]} == FEEDS
        texts.append(answer.text)
        await asyncio.sleep(0.15)
    assert world.calls[name] <= 2
    assert (await states(client))[name] == ("auth_failed", "auth_failed")
    texts.append((await client.get("/api/status")).text)
    assert all(bad not in text for text in texts)


async def test_both_keys_of_one_account_share_its_limits(world: World, serve: Serve) -> None:
    client = await serve(ETHERSCAN_API_KEY="GOODKEY0001", ETHERSCAN_BACKUP_API_KEY="GOODBACKUP0005")
    await client.get("/api/gas")
    rows = {row["name"]: row for row in (await client.get("/api/status")).json()["providers"]}
    assert rows["etherscan_backup"]["quotas"] == rows["etherscan"]["quotas"]
    assert rows["etherscan_backup"]["quotas"][0]["used"] == 1
    assert world.calls["etherscan_backup"] == 0


async def test_a_lagging_node_is_refused_and_the_last_answer_is_stale(
    world: World, serve: Serve
) -> None:
    client = await serve(CACHE_TTL_GAS="0.05")
    first = (await client.get("/api/gas")).json()
    world.lags["ethereum_rpc"] = 8_000
    await asyncio.sleep(0.15)
    now = (await client.get("/api/gas")).json()
    assert now["data"] == first["data"]
    assert (now["meta"]["stale"], now["meta"]["stale_reason"]) == (True, "bad_payload")


async def test_a_failing_node_fails_over_to_the_next(world: World, serve: Serve) -> None:
    world.faults["ethereum_rpc"] = "rpc_error"
    urls = f"{world.url('ethereum_rpc')},{world.url('ethereum_rpc_second')}"
    client = await serve(ETHEREUM_RPC_BASE_URL=urls, CACHE_TTL_GAS="0.05")
    for _ in range(3):
        document = (await client.get("/api/gas")).json()
        assert document["meta"]["source"] == "ethereum_rpc"
        fees = document["data"]
        assert 0 < fees["slow"] <= fees["average"] <= fees["fast"]
        await asyncio.sleep(0.15)
    assert world.calls["ethereum_rpc"] == 1


@pytest.mark.parametrize("days", ["0", "366", "all"])
async def test_days_out_of_range_are_refused(reader: httpx.AsyncClient, days: str) -> None:
    answer = await reader.get(f"/api/sentiment?days={days}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["allowed"] == ["1 to 365"]


@pytest.mark.parametrize(
    "query", ["limit=201", "sentiment=happy", "since=soon", "since=", "limit=1&limit=2"]
)
async def test_wrong_news_filters_are_refused(reader: httpx.AsyncClient, query: str) -> None:
    answer = await reader.get(f"/api/news?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
