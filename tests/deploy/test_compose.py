"""docs/deploy/compose.yaml says what the text promises, and its Valkey starts as it says."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

from backend.environment.forms import parse_redis_url
from tests.deploy.documents import FOLDER, acl_rules, compose, text_of
from tests.deploy.servers import VALKEY_8, VALKEY_9, VALKEY_CLI, client, running

PASSWORD = "0f" * 16
SERVICES = ("gateway", "valkey")
#: The first with `required` of an env_file.
OLDEST_COMPOSE = (2, 24)


def service(name: str) -> Any:
    return compose()["services"][name]


def script() -> str:
    """What the Valkey's shell runs, as Compose hands it on."""
    shell, option, text = service("valkey")["command"]
    assert (shell, option) == ("sh", "-c")
    return str(text).replace("$$", "$")


@pytest.fixture(scope="module", params=[VALKEY_8, VALKEY_9], ids=["valkey-8", "valkey-9"])
def valkey(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The service's own command; the configuration is elsewhere, and there is no port."""
    folder = tmp_path_factory.mktemp("valkey")
    (folder / "bin").mkdir()
    (folder / "bin" / "valkey-server").symlink_to(request.param)
    command = script().replace("/etc/valkey/gateway.conf", str(FOLDER / "valkey.conf"))
    command = command.replace("protected-mode no", "protected-mode no\nport 0\nunixsocket socket")
    environment = os.environ | {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "CLUSTER_NAME": "gateway",
        "VALKEY_PASSWORD": PASSWORD,
    }
    with running(["sh", "-c", command], folder, env=environment) as socket:
        yield socket


def test_its_valkey_has_the_memory_the_policy_and_the_file_that_the_text_promises(
    valkey: Path,
) -> None:
    with client(valkey, user="gateway", password=PASSWORD) as gateway:
        memory: Any = gateway.info("memory")
        persistence: Any = gateway.info("persistence")
    assert memory["maxmemory"] == 64 * 1024**2
    assert memory["maxmemory_policy"] == "noeviction"
    assert persistence["aof_enabled"] == 1
    assert list((valkey.parent / "appendonlydir").iterdir())


def test_the_configuration_is_the_one_that_was_measured() -> None:
    lines = [line for line in text_of("valkey.conf").splitlines() if not line.startswith("#")]
    assert lines == [
        "maxmemory 64mb",
        "maxmemory-policy noeviction",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
    ]


def test_its_valkey_takes_nobody_but_the_gateway(valkey: Path) -> None:
    with client(valkey) as nobody, pytest.raises(redis.AuthenticationError):
        nobody.ping()
    with client(valkey, password=PASSWORD) as default, pytest.raises(redis.AuthenticationError):
        default.ping()
    with client(valkey, user="gateway", password=PASSWORD) as gateway:
        assert gateway.set("{gw:gateway}:v1:lease", "me")
        with pytest.raises(NoPermissionError):
            gateway.flushall()


def test_the_password_is_no_argument_of_a_process(valkey: Path) -> None:
    arguments = [path.read_bytes() for path in _command_lines()]
    assert [line for line in arguments if b"valkey-server" in line]
    assert [line for line in arguments if PASSWORD.encode() in line] == []


def _command_lines() -> list[Path]:
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]


def health(valkey: Path, password: str) -> int:
    """The exit code of the service's check, with the socket in place of the port."""
    kind, command = service("valkey")["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    line = command.replace("$$", "$").replace("valkey-cli", f"{VALKEY_CLI} -s {valkey}")
    environment = os.environ | {"VALKEY_PASSWORD": password}
    ran = subprocess.run(["sh", "-c", line], env=environment, timeout=10, check=False)
    return ran.returncode


def test_its_health_check_tells_a_server_that_answers_from_one_that_does_not(
    valkey: Path, tmp_path: Path
) -> None:
    assert health(valkey, PASSWORD) == 0
    assert health(valkey, "another") != 0
    assert health(tmp_path / "nothing", PASSWORD) != 0


def test_its_user_is_the_one_of_the_page() -> None:
    (line,) = re.findall(r"^user gateway (.+)$", script(), re.MULTILINE)
    stated = " ".join(acl_rules()).replace("PASSWORD", "$VALKEY_PASSWORD")
    assert line == stated.replace("{gw:gateway}", "{gw:$CLUSTER_NAME}")


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_checked_restarted_stopped_in_time_and_confined(name: str) -> None:
    one = service(name)
    assert {"test", "interval", "timeout", "start_period"} <= set(one["healthcheck"])
    assert one["restart"] == "unless-stopped"
    assert one["stop_grace_period"] == "10s"
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]


def test_what_is_kept_is_on_volumes() -> None:
    mounts = {one.partition(":")[0]: one.split(":")[1] for one in service("gateway")["volumes"]}
    assert mounts == {"state": "/app/state", "logs": "/app/logs"}
    assert "valkey:/data" in service("valkey")["volumes"]
    assert set(compose()["volumes"]) == {"state", "logs", "valkey"}
    dockerfile = (FOLDER.parents[1] / "Dockerfile").read_text(encoding="utf-8")
    assert "mkdir -p /app/logs /app/state" in dockerfile


def test_the_valkey_is_reached_by_the_gateway_only() -> None:
    valkey = service("valkey")
    assert not {"ports", "network_mode", "expose"} & set(valkey)
    assert valkey["networks"] == ["store"]
    assert compose()["networks"]["store"] == {"internal": True}
    assert "store" in service("gateway")["networks"]


def test_no_password_stands_in_the_file_and_none_is_assumed() -> None:
    used = re.findall(r"(?<!\$)\$\{VALKEY_PASSWORD[^}]*\}", text_of("compose.yaml"))
    assert len(used) == len(SERVICES)
    assert all(one.startswith("${VALKEY_PASSWORD:?") for one in used)
    url = service("gateway")["environment"]["REDIS_URL"]
    assert re.fullmatch(r"redis://gateway:\$\{VALKEY_PASSWORD:\?[^}]*\}@valkey:6379/0", url)
    assert parse_redis_url(re.sub(r"\$\{.*\}", PASSWORD, url)) is not None


def test_the_file_of_keys_is_in_no_commit() -> None:
    (keys,) = service("gateway")["env_file"]
    ignored = (FOLDER.parents[1] / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {keys["path"], ".env"} <= set(ignored)


def test_several_workers_are_one_service_on_one_port() -> None:
    gateway = service("gateway")
    assert gateway["environment"]["WORKERS"] == "${WORKERS:-2}"
    assert gateway["environment"]["CLUSTER_SIZE"] == "${CLUSTER_SIZE:-0}"
    assert gateway["environment"]["PORT"] == 7860  # also where gateway.env has another one
    assert gateway["ports"] == ["${PORT:-7860}:7860"]
    assert "deploy" not in gateway


def _compose_command() -> list[str] | None:
    """Compose, if it is here and as new as the text asks for."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            asked = [*command, "version", "--short"]
            ran = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
            version = re.match(r"v?(\d+)\.(\d+)", ran.stdout)
            if version and (int(version[1]), int(version[2])) >= OLDEST_COMPOSE:
                return command
    return None


def test_compose_itself_accepts_the_file() -> None:
    command = _compose_command()
    if command is None:
        pytest.skip("NO DOCKER COMPOSE of 2.24 or newer here: the file was read as YAML only")
    arguments = [*command, "-f", str(FOLDER / "compose.yaml"), "config", "--quiet"]
    bare = {name: value for name, value in os.environ.items() if name != "VALKEY_PASSWORD"}
    good = bare | {"VALKEY_PASSWORD": PASSWORD}
    subprocess.run(arguments, env=good, timeout=50, check=True)
    refused = subprocess.run(arguments, env=bare, capture_output=True, timeout=50, check=False)
    assert refused.returncode != 0
    assert b"VALKEY_PASSWORD" in refused.stderr
