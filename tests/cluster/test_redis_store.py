"""What a real server may answer: refusals, hangs, TLS; and that no text shows an address."""

import asyncio
import logging
import signal
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import redis
import trustme
from redis.asyncio import Redis

from backend.cluster import scripts
from backend.cluster.redis_store import RedisStore
from backend.cluster.store import Beat, BeatReply, StoreUnavailable
from tests.cluster.servers import PROGRAMS, Server, running
from tests.deploy.documents import acl_rules

PASSWORD = "a-password"  # noqa: S105 - of a server of this test
BEAT = Beat("a", 0, True, "{}", "I am a", 0)


@pytest.fixture(scope="module", params=list(PROGRAMS))
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """`gateway` is the user of docs/deploy; `reader` may not write."""
    folder = tmp_path_factory.mktemp("server")
    socket = ("--unixsocket", str(folder / "socket"))
    with running(folder, request.param, *socket) as one:
        with admin_of(one) as admin:
            rules = [word.replace("PASSWORD", PASSWORD) for word in acl_rules()]
            admin.execute_command("ACL", "SETUSER", "gateway", *rules)
        yield one


def admin_of(server: Server) -> redis.Redis:
    return redis.Redis.from_url(server.url, protocol=2)


def url_of(server: Server, user: str = "gateway", password: str = PASSWORD) -> str:
    return f"redis://{user}:{password}@127.0.0.1:{server.port}/0"


@asynccontextmanager
async def connected(url: str, name: str = "gateway") -> AsyncIterator[RedisStore]:
    store = RedisStore(url, name)
    await store.connect()
    try:
        yield store
    finally:
        await store.aclose()


async def use(store: RedisStore) -> None:
    """Everything that a gateway does."""
    while (await store.beat(BEAT)).standing != "leader":
        await asyncio.sleep(0.05)
    assert await store.replace_calls("a", {"a/minute": {1_790_000_000: 2}})
    assert await store.append("a", {("a/minute", 1_790_000_001): 1})
    assert await store.load_calls() == {"a/minute": {1_790_000_000: 2, 1_790_000_001: 1}}
    await store.delete_calls([("a/minute", 1_790_000_000)])
    await store.save_answer("gas/eth", b"x", 1.0, 1)
    assert await store.load_answers() == {"gas/eth": b"x"}
    await store.save_block("a", None)
    assert await store.load_blocks() == {}
    heard = asyncio.ensure_future(anext(store.messages()))
    await store.publish("ask", b"a\nx")
    assert await asyncio.wait_for(heard, 2) == ("ask", b"a\nx")
    await store.release("a")


async def test_the_user_of_the_documents_may_do_all_that_is_done(server: Server) -> None:
    async with connected(url_of(server).replace("redis", "valkey", 1)) as store:
        await use(store)


async def test_a_cluster_of_another_name_is_not_for_that_user(server: Server) -> None:
    with pytest.raises(StoreUnavailable, match="the user may not do this"):
        async with connected(url_of(server), "another"):
            pass


async def test_a_unix_socket_will_do(server: Server) -> None:
    url = f"unix://gateway:{PASSWORD}@{server._folder / 'socket'}?db=0"
    async with connected(url) as store:
        await use(store)


@pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
async def test_tls_with_a_trusted_certificate(
    server: Server, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with tls_before(server, authority) as port:
        url = f"{scheme}://gateway:{PASSWORD}@127.0.0.1:{port}/0"
        with pytest.raises(StoreUnavailable, match="TLS") as refused:
            await RedisStore(url, "gateway").connect()
        assert str(port) not in str(refused.value)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        async with connected(url) as store:
            await use(store)


@asynccontextmanager
async def tls_before(server: Server, authority: trustme.CA) -> AsyncIterator[int]:
    """A port that speaks TLS, for servers from wheels, which do not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    tasks: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
        finally:
            writer.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", server.port)
        for pair in ((reader, there[1]), (there[0], writer)):
            tasks.add(asyncio.create_task(copy(*pair)))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield listener.sockets[0].getsockname()[1]
    listener.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("user", ["gateway", "nobody"])
async def test_a_wrong_password_or_user_is_said_in_our_words(
    server: Server, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = RedisStore(url_of(server, user, "hunter2"), "gateway")
    with pytest.raises(StoreUnavailable) as refused:
        await store.connect()
    said = f"{refused.value!r} {store!r} {caplog.text}"
    assert str(refused.value) == "the password or user is wrong"
    assert refused.value.__cause__ is None
    for secret in ("hunter2", "127.0.0.1", str(server.port)):
        assert secret not in said


async def test_a_script_that_the_server_forgot_is_sent_again(server: Server) -> None:
    async with connected(server.url, "forgetful") as store:
        for _ in range(2):
            await store.beat(BEAT)
            with admin_of(server) as admin:
                admin.script_flush()
        assert (await store.beat(BEAT)).standing in {"vacant", "leader"}


async def test_a_replica_takes_no_writes_and_its_connection_ends(server: Server) -> None:
    async with connected(server.url, "replica") as store:
        await store.beat(BEAT)
        with admin_of(server) as admin:
            try:
                admin.execute_command("REPLICAOF", "127.0.0.1", "1")
                with pytest.raises(StoreUnavailable, match=r"a read-only replica|has no primary"):
                    await store.save_answer("gas/eth", b"x", 1.0, None)
                assert not store.is_connected
            finally:
                admin.execute_command("REPLICAOF", "NO", "ONE")


async def test_a_server_that_hangs_costs_a_call_a_quarter_of_a_second(server: Server) -> None:
    loop = asyncio.get_running_loop()
    async with connected(server.url, "hung") as store:
        began = loop.time()
        server.signal(signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailable, match="the server does not answer"):
                await store.append("a", {("a/minute", 1): 1})
            assert 0.2 < loop.time() - began < 0.6
            began = loop.time()
            with pytest.raises(StoreUnavailable, match="not connected"):
                await store.append("a", {("a/minute", 1): 1})
            assert loop.time() - began < 0.05
        finally:
            server.signal(signal.SIGCONT)


async def test_a_failed_command_ends_the_connection_though_its_caller_left(server: Server) -> None:
    """redis-py would connect again without a word, and the server may be another one."""
    async with connected(server.url, "left") as store:
        server.signal(signal.SIGSTOP)
        try:
            leaving = asyncio.create_task(store.append("a", {("a/minute", 1): 1}))
            await asyncio.sleep(0.05)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            await asyncio.sleep(0.4)
            assert not store.is_connected
        finally:
            server.signal(signal.SIGCONT)


async def test_a_wrong_eviction_policy_is_one_warning(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with admin_of(server) as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
        try:
            async with connected(server.url, "policy") as store:
                assert store.wrong_policy == "allkeys-lru"
                await store.connect()
        finally:
            admin.config_set("maxmemory-policy", "noeviction")
    assert caplog.text.count("maxmemory-policy is allkeys-lru") == 1
    async with connected(server.url, "policy") as store:
        assert store.wrong_policy == ""


async def test_what_another_program_wrote_is_no_block(server: Server) -> None:
    async with connected(server.url, "junk") as store:
        with admin_of(server) as admin:
            for name, text in (("a", "{"), ("b", "[]"), ("c", '{"state": 1}'), ("d", "null")):
                admin.hset("{gw:junk}:v1:blocks", name, text)
        assert await store.load_blocks() == {}


async def test_what_another_program_wrote_is_no_call(server: Server) -> None:
    """It would end each takeover, and so leave the cluster without a leader."""
    async with connected(server.url, "junk") as store:
        with admin_of(server) as admin:
            junk = {b"w@1": b"2", b"w@x": b"1", b"\xff@1": b"1", b"": b"1", b"w@3": b"many"}
            admin.hset("{gw:junk}:v1:calls", mapping=junk)
        assert await store.load_calls() == {"w": {1: 2}}


async def test_a_server_without_a_run_id_is_taken_for_a_new_one_at_each_connect(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def info(_client: Redis, _section: str) -> dict[str, str]:
        return {}

    monkeypatch.setattr(Redis, "info", info)
    async with connected(server.url, "nameless") as store:
        while (await store.beat(BEAT)).standing != "leader":
            await asyncio.sleep(0.05)
        assert await store.replace_calls("a", {})
        assert not (await store.beat(BEAT)).is_broken
        await store.connect()
        assert (await store.beat(BEAT)).is_broken


async def test_a_late_commit_does_not_replace_a_log_that_was_rewritten_since(
    server: Server,
) -> None:
    """A leader that reconnected meanwhile has written another one, and added to it."""
    async with connected(server.url, "late") as store:
        while (await store.beat(BEAT)).standing != "leader":
            await asyncio.sleep(0.05)
        new = store._keys.of("lease", "calls_new")
        late = store._keys.of("lease", "calls_new", "calls", "life", "claims")
        await store._script(scripts.REWRITE, new, ("a", "token-1", "first", "a/day@1", 5), 1.0)
        assert await store.replace_calls("a", {"a/day": {1: 7}})
        assert await store.append("a", {("a/day", 1): 1})
        assert not await store._script(scripts.COMMIT, late, ("a", "run", "token-1"), 1.0)
        assert await store.load_calls() == {"a/day": {1: 8}}
        assert not await store._script(scripts.REWRITE, new, ("a", "token-1", "next"), 1.0)


async def test_a_log_that_somebody_deletes_is_broken_and_takes_no_calls(server: Server) -> None:
    async with connected(server.url, "deleted") as store:
        await store.release("a")
        reply = await led_by(store)
        assert await store.replace_calls("a", {"a/minute": {5: 1}})
        assert not (await store.beat(replace(BEAT, known_term=reply.term))).is_broken
        with admin_of(server) as admin:
            admin.delete("{gw:deleted}:v1:calls")
        assert not await store.append("a", {("a/minute", 6): 1})
        assert (await store.beat(BEAT)).is_broken


async def test_a_log_of_a_wrong_type_is_broken_and_replaced(server: Server) -> None:
    async with connected(server.url, "wrong") as store:
        await led_by(store)
        for key in ("calls", "calls_new"):
            with admin_of(server) as admin:
                admin.delete(f"{{gw:wrong}}:v1:{key}")
                admin.set(f"{{gw:wrong}}:v1:{key}", "x")
        assert (await store.beat(BEAT)).is_broken
        assert await store.load_calls() == {}
        assert await store.replace_calls("a", {"a/minute": {5: 1}})
        assert not (await store.beat(BEAT)).is_broken
        assert await store.load_calls() == {"a/minute": {5: 1}}


async def test_what_another_program_wrote_among_the_members_is_left_out(server: Server) -> None:
    async with connected(server.url, "junk") as store:
        with admin_of(server) as admin:
            members = "{gw:junk}:members"
            far = f"{int(time.time() + 3600)}000|{{}}"
            admin.hset(members, mapping={"a": "junk", b"\xff": far, "b": "1e308|{}", "c": "|"})
            admin.hset(members, "d", "9" * 40 + "|{}")
        await store.beat(BEAT)  # forgets them
        reply = await store.beat(BEAT)
        assert set(reply.members) == {"a"}


async def led_by(store: RedisStore) -> BeatReply:
    """The reply that makes process `a` the leader."""
    while (reply := await store.beat(BEAT)).standing != "leader":
        await asyncio.sleep(0.05)
    return reply
