"""Real Valkey and Redis servers, from wheels, on a socket of their own."""

import socket as socketlib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.cluster.servers import program

START_S = 10.0


VALKEY_9, VALKEY_8, REDIS_6 = map(program, ("valkey-9.1", "valkey-8.1", "redis-6.2"))
VALKEY_CLI = VALKEY_8.with_name("valkey-cli")
SERVERS = {"valkey-9": VALKEY_9, "valkey-8": VALKEY_8, "redis-6": REDIS_6}


@contextmanager
def running(command: list[str | Path], folder: Path, **options: object) -> Iterator[Path]:
    """Runs a server's command in a folder until the end; gives its Unix socket there. The command
    makes that socket, `socket` in the folder."""
    socket = folder / "socket"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # type: ignore[call-overload]
            command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **options
        )
        try:
            _wait(socket, process, folder / "log")
            yield socket
        finally:
            process.terminate()
            process.wait(START_S)


@contextmanager
def server(binary: Path, folder: Path) -> Iterator[Path]:
    """An empty server without a password; gives its Unix socket."""
    options = ["--port", "0", "--unixsocket", "socket", "--save", ""]
    with running([binary, *options], folder) as socket:
        yield socket


def client(socket: Path, *, user: str = "", password: str = "") -> redis.Redis:
    return redis.Redis(
        unix_socket_path=str(socket),
        username=user or None,
        password=password or None,
        protocol=2,
        decode_responses=True,
        retry=Retry(NoBackoff(), 0),  # else it logs in ten times with a wrong password
    )


def _accepts(path: Path) -> bool:
    """The file of a socket is there a moment before the server listens."""
    with socketlib.socket(socketlib.AF_UNIX) as trying:
        try:
            trying.connect(str(path))
        except OSError:
            return False
    return True


def _wait(socket: Path, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_S
    while not _accepts(socket):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.01)
