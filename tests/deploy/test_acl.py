"""The user of managed-redis.md can do what a gateway needs, and nothing else, on real servers."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.deploy.documents import acl_rules, block
from tests.deploy.servers import SERVERS, VALKEY_CLI, client, server

PASSWORD = "a-password"  # noqa: S105 - of a server of this test
KEY, CHANNEL = "{gw:gateway}:v1:lease", "{gw:gateway}:answers"
#: What a server says of a command, a key or a channel; within a script; Redis 6 within a script.
REFUSED = r"(?i)permission|ACL failure|can't access at least one of the keys"
SCRIPT = "redis.call('SET', KEYS[1], ARGV[1], 'PX', 3000) return redis.call('GET', KEYS[1])"


@pytest.fixture(scope="module", params=SERVERS)
def socket(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    with server(SERVERS[request.param], tmp_path_factory.mktemp("server")) as path:
        rules = [word.replace("PASSWORD", PASSWORD) for word in acl_rules()]
        with client(path) as admin:
            admin.execute_command("ACL", "SETUSER", "gateway", *rules)
            admin.set("other:key", "theirs")
        yield path


@pytest.fixture
def gateway(socket: Path) -> Iterator[Any]:
    with client(socket, user="gateway", password=PASSWORD) as connected:
        yield connected


def test_redis_py_connects_and_runs_scripts_that_the_server_has_forgotten(
    gateway: Any, socket: Path
) -> None:
    script = gateway.register_script(SCRIPT)
    with client(socket) as admin:
        for holder in ("one", "two"):
            admin.script_flush()
            assert script(keys=[KEY], args=[holder]) == holder
    assert gateway.evalsha(script.sha, 1, KEY, "three") == "three"
    assert gateway.script_exists(script.sha) == [True]


@pytest.mark.parametrize(
    "command",
    [
        ("PING",),
        ("TIME",),
        ("INFO", "server"),
        ("SELECT", "0"),
        ("SET", KEY, "1", "PX", "3000"),
        ("PEXPIRE", KEY, "3000"),
        ("GET", KEY),
        ("DEL", KEY),
        ("ZADD", "{gw:gateway}:v1:calls:a", "1", "id"),
        ("ZRANGE", "{gw:gateway}:v1:calls:a", "0", "-1", "WITHSCORES"),
        ("ZREMRANGEBYSCORE", "{gw:gateway}:v1:calls:a", "0", "2"),
        ("HSET", "{gw:gateway}:v1:blocks", "binance", "{}"),
        ("HINCRBY", "{gw:gateway}:v1:book:a/day", "1", "1"),
        ("HGETALL", "{gw:gateway}:v1:blocks"),
        ("RENAME", "{gw:gateway}:v1:blocks", "{gw:gateway}:v1:old"),
        ("EVAL", "return redis.call('TIME')", "0"),
        ("EVAL", f"return redis.call('PUBLISH', '{CHANNEL}', 'x')", "0"),
        ("SCRIPT", "LOAD", "return 1"),
        ("PUBLISH", CHANNEL, "x"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_it_may(gateway: Any, command: tuple[str, ...]) -> None:
    gateway.execute_command(*command)


def test_it_may_subscribe_and_receives(gateway: Any) -> None:
    with gateway.pubsub() as subscription:
        subscription.subscribe(CHANNEL)
        assert subscription.get_message(timeout=5)
        gateway.publish(CHANNEL, "a message")
        message: Any = subscription.get_message(timeout=5)
        assert message["data"] == "a message"


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("CONFIG", "GET", "maxmemory"),
        ("CONFIG", "SET", "maxmemory", "1mb"),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("RANDOMKEY",),
        ("DBSIZE",),
        ("SWAPDB", "0", "1"),
        ("SCRIPT", "FLUSH"),
        ("ACL", "LIST"),
        ("ACL", "SETUSER", "gateway", "+@all"),
        ("CLIENT", "LIST"),
        ("CLIENT", "KILL", "TYPE", "pubsub"),
        ("MONITOR",),
        ("SHUTDOWN",),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("GET", "other:key"),
        ("SET", "other:key", "1"),
        ("GET", "{gw:other}:v1:lease"),
        ("RENAME", "other:key", KEY),
        ("EVAL", "return redis.call('GET', 'other:key')", "0"),
        ("PUBLISH", "{gw:other}:answers", "x"),
        ("SUBSCRIBE", "other"),
        ("PSUBSCRIBE", "*"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_it_may_not(gateway: Any, socket: Path, command: tuple[str, ...]) -> None:
    with pytest.raises(redis.RedisError, match=REFUSED):
        gateway.execute_command(*command)
    with client(socket) as admin:
        assert admin.get("other:key") == "theirs"


@pytest.mark.parametrize("command", [("FUNCTION", "FLUSH"), ("FUNCTION", "DELETE", "theirs")])
def test_it_may_not_change_the_functions_of_others(gateway: Any, command: tuple[str, ...]) -> None:
    with pytest.raises(redis.ResponseError, match=r"permission|unknown command `FUNCTION`"):
        gateway.execute_command(*command)


def test_a_wrong_password_is_refused(socket: Path) -> None:
    with (
        client(socket, user="gateway", password="another") as other,  # noqa: S106
        pytest.raises(redis.AuthenticationError),
    ):
        other.ping()


def test_the_commands_that_check_a_store_find_nothing_wrong(socket: Path, tmp_path: Path) -> None:
    """The page's commands, with the socket in place of the address."""
    lines = block("managed-redis.md", "checked: valkey-cli")
    commands = lines.replace('valkey-cli -u "$STORE"', '"$CLI" -s "$SOCKET" --user gateway')
    assert commands.count("$SOCKET") == len(lines.splitlines())
    environment = {"CLI": str(VALKEY_CLI), "SOCKET": str(socket), "REDISCLI_AUTH": PASSWORD}
    ran = subprocess.run(
        ["sh", "-ec", commands],
        env=os.environ | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    said = [line.strip() for line in ran.stdout.splitlines()]
    assert {"maxmemory_policy:noeviction", "cluster_enabled:0", "OK"} <= set(said)
    assert [line for line in said if line.startswith("redis_version:")]
    assert [line for line in said if line.startswith(("NOPERM", "ERR", "NOAUTH"))] == []
