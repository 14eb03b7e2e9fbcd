"""docs/deploy/nginx.conf before a real gateway: freshness, errors, limits, streams, sizes."""

import asyncio
import json
import re
import ssl
from pathlib import Path
from typing import Any

import httpx
import trustme
from websockets.asyncio.client import connect

from tests.deploy.documents import text_of
from tests.deploy.nginx import NO_LIMIT, client_from, front, hit, needs_nginx, raw
from tests.life.process import free_port
from tests.world.push import mini_ticker

#: In seconds: a copy lives for less than two.
COPY_S = 3.5
CHANNEL = "market&symbols=BTC"
PRICE, NEW_PRICE = "/api/market?symbols=BTC", 51_000.0


def test_the_page_names_the_file_and_the_settings() -> None:
    text = text_of("nginx.md")
    for name in ("(nginx.conf)", "`HOST=127.0.0.1`", "`TRUST_PROXY=1`", "`CLIENT_RATE_LIMIT`"):
        assert name in text
    assert "(nginx.md)" in text_of("README.md")


@needs_nginx
async def test_what_is_new_is_seen_at_once_though_max_age_is_a_minute(tmp_path: Path) -> None:
    async with front(tmp_path) as served:
        through, direct = served.proxy.client, served.gateway.client
        async with connect(f"ws://127.0.0.1:{served.gateway.port}/ws?channels={CHANNEL}"):
            await served.push.until_open()
            copy, _ = await hit(through, PRICE, {})
            assert copy.headers["cache-control"] == "public, max-age=60"
            await served.push.tell_tickers([mini_ticker("BTCUSDT", NEW_PRICE)])
            async with asyncio.timeout(10):
                while await _price(direct) != NEW_PRICE:
                    await asyncio.sleep(0.02)
            async with asyncio.timeout(COPY_S):
                while await _price(through) != NEW_PRICE:
                    await asyncio.sleep(0.02)


async def _price(client: httpx.AsyncClient) -> float:
    _, body = await raw(client, PRICE, {})  # as the copy was made: without a coding
    return float(json.loads(body)["data"][0]["price"])


@needs_nginx
async def test_the_age_of_a_copy_is_about_the_gateways(tmp_path: Path) -> None:
    """Also where the content stays the same, so that the copy's tag is still right."""
    async with front(tmp_path) as served:
        through, direct = served.proxy.client, served.gateway.client
        async with asyncio.timeout(20):
            while (age := await _age(direct)) < 6:
                assert age - await _age(through) <= COPY_S
                await asyncio.sleep(0.2)
        assert age - await _age(through) <= COPY_S


async def _age(client: httpx.AsyncClient) -> int:
    return int((await raw(client, "/api/news", {}))[0].headers["age"])


@needs_nginx
async def test_stale_answers_say_so_and_are_not_stored(tmp_path: Path) -> None:
    async with front(tmp_path, CACHE_TTL_GAS="0.05", PROVIDER_TIMEOUT="1") as served:
        client = served.proxy.client
        assert (await client.get("/api/gas")).status_code == 200
        for name in ("ethereum_rpc", "etherscan", "etherscan_backup"):
            served.world.faults[name] = "http500"
        async with asyncio.timeout(20):
            while (await client.get("/api/gas")).headers["x-cache"] != "stale":
                await asyncio.sleep(0.02)
        before = await served.answered("/api/gas")
        got = [await client.get("/api/gas") for _ in range(5)]
        assert {one.headers["x-cache"] for one in got} == {"stale"}
        assert await served.answered("/api/gas") - before == len(got)


@needs_nginx
async def test_errors_are_the_gateways_own_and_end_when_it_is_well_again(tmp_path: Path) -> None:
    settings = {"COOLDOWN": "0.2", "COOLDOWN_MAX": "0.2", "PROVIDER_TIMEOUT": "1"}
    async with front(tmp_path, NO_LIMIT, **settings) as served:
        client = served.proxy.client
        served.world.faults["alternative_me"] = "http500"
        for _ in range(3):
            refused = await client.get("/api/sentiment")
            assert refused.status_code == 503
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.headers["cache-control"] == "no-store"
            assert refused.json()["request_id"] == refused.headers["x-request-id"]
        assert await served.answered("/api/sentiment") == 3
        served.world.faults.clear()
        async with asyncio.timeout(20):
            while (await client.get("/api/sentiment")).status_code != 200:
                await asyncio.sleep(0.1)


@needs_nginx
async def test_clients_have_limits_of_their_own_and_cannot_forge_an_address(
    tmp_path: Path,
) -> None:
    async with front(tmp_path, CLIENT_RATE_LIMIT="5/minute") as served:
        async with client_from("127.0.0.2", served.proxy) as one:
            forged = [{"X-Forwarded-For": f"203.0.113.{n}, 198.51.100.{n}"} for n in range(7)]
            got = [await one.get("/api/status", headers=headers) for headers in forged]
            assert [each.status_code for each in got] == [200] * 5 + [429] * 2
            assert got[-1].json()["detail"].startswith("this address may use")
        async with client_from("127.0.0.3", served.proxy) as other:
            assert (await other.get("/api/status")).headers["ratelimit"].startswith('"client";r=4;')


@needs_nginx
async def test_nginx_limits_what_it_answers_from_its_cache(tmp_path: Path) -> None:
    async with front(tmp_path, changes={}) as served:
        await hit(served.proxy.client, "/api/gas", {})
        head = f"GET /api/gas HTTP/1.1\r\nHost: 127.0.0.1:{served.proxy.port}\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", served.proxy.port)
        writer.write(f"{head}\r\n".encode() * 899 + f"{head}Connection: close\r\n\r\n".encode())
        text = (await asyncio.wait_for(reader.read(-1), 30)).decode()
        writer.close()
        statuses = re.findall(r"HTTP/1.1 (\d+)", text)
        assert statuses.count("200") >= 150  # `hit` has used some of the burst
        assert statuses.count("429") > 0
        document = json.loads(text.rpartition("\r\n\r\n")[2])
        assert (document["status"], document["code"]) == (429, "rate_limited")
        async with client_from("127.0.0.4", served.proxy) as other:
            assert (await other.get("/api/gas")).status_code == 200


@needs_nginx
async def test_streams_go_through_and_are_not_cut(tmp_path: Path) -> None:
    async with front(tmp_path) as served:
        await served.gateway.client.get("/api/market")
        port = served.proxy.port
        async with connect(f"ws://127.0.0.1:{port}/ws?channels=market", max_size=None) as socket:
            snapshot = await _frame(socket, "snapshot")
            assert len(snapshot["data"]) == 250
            assert len(json.dumps(snapshot)) > 64 * 1024
            await served.push.until_open()
            await served.push.tell_tickers([mini_ticker("BTCUSDT", NEW_PRICE)])
            update = await _frame(socket, "update")
            assert update["data"][0]["id"] == "bitcoin"
        streams = ("ws/btcusdt@trade", "stream?streams=btcusdt@trade")
        for path in streams:
            async with connect(f"ws://127.0.0.1:{port}/binance/{path}") as socket:
                await socket.send('{"method":"LIST_SUBSCRIPTIONS","id":7}')
                answer = json.loads(await asyncio.wait_for(socket.recv(), 10))
                assert answer == {"result": ["btcusdt@trade"], "id": 7}


async def _frame(socket: Any, kind: str) -> Any:
    async with asyncio.timeout(10):
        async for text in socket:
            frame = json.loads(text)
            if frame.get("type") == kind:
                return frame
    raise AssertionError(f"no {kind}")


@needs_nginx
async def test_events_come_as_they_happen(tmp_path: Path) -> None:
    async with (
        front(tmp_path) as served,
        served.proxy.client.stream("GET", f"/api/stream?channels={CHANNEL}") as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        async with asyncio.timeout(10):
            while '"snapshot"' not in await anext(lines):
                pass
            await served.push.until_open()
            await served.push.tell_tickers([mini_ticker("BTCUSDT", NEW_PRICE)])
            while '"update"' not in await anext(lines):
                pass


@needs_nginx
async def test_large_answers_urls_and_bodies_are_the_gateways_matter(tmp_path: Path) -> None:
    async with front(tmp_path) as served:
        through, direct = served.proxy.client, served.gateway.client
        document = (await direct.get("/openapi.json")).content
        assert len(document) > 500_000
        assert (await through.get("/openapi.json")).content == document
        names = ",".join(f"COIN{number:05}" for number in range(6_000))
        long = f"/api/market?symbols={names}"
        expected, got = await direct.get(long), await through.get(long)
        assert (got.status_code, got.json()["code"]) == (
            expected.status_code,
            expected.json()["code"],
        )
        refused = await through.post("/mcp", content=b" " * 100_000)
        assert refused.status_code == 413
        assert "nginx" not in refused.text


@needs_nginx
async def test_without_the_gateway_there_is_a_problem_document_and_no_old_copy(
    tmp_path: Path,
) -> None:
    async with front(tmp_path) as served:
        await hit(served.proxy.client, "/api/gas", {})
        served.gateway.process.kill()
        await served.gateway.process.wait()
        async with asyncio.timeout(COPY_S):
            while (
                answer := (await raw(served.proxy.client, "/api/gas", {}))[0]
            ).status_code == 200:
                await asyncio.sleep(0.05)
        assert answer.status_code == 502
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "2"
        document = (await served.proxy.client.get("/api/gas")).json()
        assert (document["status"], document["code"]) == (502, "unreachable")


@needs_nginx
async def test_the_lines_for_tls_work_once_they_are_no_comments(tmp_path: Path) -> None:
    authority, port = trustme.CA(), free_port()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "both.pem"
    )
    changes = {
        "# listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "# ssl_protocols": "ssl_protocols",
        "# ssl_session_cache": "ssl_session_cache",
    }
    for name, file in (("ssl_certificate    ", "fullchain"), ("ssl_certificate_key", "privkey")):
        path = f"/etc/letsencrypt/live/example.org/{file}.pem"
        changes[f"# {name} {path};"] = f"{name} {tmp_path}/both.pem;"
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    async with (
        front(tmp_path, changes),
        httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=trusted) as client,
    ):
        got = await client.get("/api/gas", extensions={"sni_hostname": "localhost"})
        assert (got.status_code, got.headers["cache-status"]) == (200, "nginx; fwd=miss")
