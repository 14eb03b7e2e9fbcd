"""A process that has imported the gateway, and forks itself for each test that starts one.

The imports are most of a start's CPU. What is forked is a process of its own, with the arguments,
folder, environment and output that were asked for, and runs the same code as `__main__`.

A request is one JSON packet over a Unix socket, with the descriptors of output and errors. The
replies are the process id and, once the process has ended, its exit code (negative: its signal).
"""

import asyncio
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent.parent
MAX_PACKET_BYTES = 128 * 1024
#: Behind input, output and errors: those of the fork server itself.
FIRST_OWN_DESCRIPTOR = 3


class Forked:
    """A forked process, with those parts of `asyncio.subprocess.Process` that tests use."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._connection = connection
        self._end = asyncio.create_task(self._read_code())

    async def wait(self) -> int:
        return await asyncio.shield(self._end)

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it ended, and its code is on its way
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def _read_code(self) -> int:
        with self._connection:
            self.returncode = int(await _received(self._connection))
        return self.returncode


class ForkServer:
    """The fork server of this process. It ends with it, and so does what it forked."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def fork(
        self, arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str], *to: int
    ) -> Forked:
        """Runs `python ARGUMENTS` in `folder`, its output and errors to these descriptors."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(self._address)
        packet = json.dumps([arguments, str(folder), dict(environment)]).encode()
        socket.send_fds(connection, [packet], to)
        connection.setblocking(False)
        return Forked(int(await _received(connection)), connection)


async def _received(connection: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(connection, MAX_PACKET_BYTES)


@contextmanager
def fork_server(folder: Path) -> Iterator[ForkServer]:
    """A fork server whose socket is in this folder."""
    address = str(folder / "forks")
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "tests.life.fork_server", address],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,  # its end is the fork server's
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == b"ready\n"
        yield ForkServer(address)
        process.stdin.close()


class Server:
    """Forks for each request, and tells when what it forked has ended."""

    def __init__(self, address: str) -> None:
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listening.bind(address)
        self._listening.listen()
        #: A byte for each SIGCHLD.
        self._ends, wakeup = socket.socketpair()
        wakeup.setblocking(False)
        signal.set_wakeup_fd(wakeup.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._wakeup = wakeup
        self._forked: dict[int, socket.socket] = {}

    def serve(self) -> None:
        """Until the standard input ends."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listening, selectors.EVENT_READ, self._accept)
            selector.register(self._ends, selectors.EVENT_READ, self._reap)
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        return
                    key.data()

    def end(self) -> None:
        for pid in self._forked:
            os.kill(pid, signal.SIGKILL)

    def _accept(self) -> None:
        connection, _ = self._listening.accept()
        packet, descriptors, _, _ = socket.recv_fds(connection, MAX_PACKET_BYTES, 2)
        pid = os.fork()
        if pid == 0:
            _become(descriptors, *json.loads(packet))
        for descriptor in descriptors:
            os.close(descriptor)
        self._forked[pid] = connection
        connection.send(str(pid).encode())

    def _reap(self) -> None:
        self._ends.recv(MAX_PACKET_BYTES)
        while self._forked:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with self._forked.pop(pid) as connection, suppress(OSError):
                connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(
    descriptors: list[int], arguments: list[str], folder: str, environment: dict[str, str]
) -> NoReturn:
    """The rest of the life of a forked process."""
    code = 1
    try:
        _take_over(descriptors, folder, environment)
        _run(arguments)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _take_over(descriptors: list[int], folder: str, environment: dict[str, str]) -> None:
    """Nothing is left of the fork server but its modules."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, descriptor in enumerate(descriptors, 1):
        os.dup2(descriptor, number)
    os.closerange(FIRST_OWN_DESCRIPTOR, os.sysconf("SC_OPEN_MAX"))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.closerange(FIRST_OWN_DESCRIPTOR, FIRST_OWN_DESCRIPTOR + 1)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()


def _run(arguments: list[str]) -> None:
    """As the interpreter does with these arguments."""
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


def main(address: str) -> None:
    _import_all()
    gc.freeze()  # what was imported stays as it is, in all processes
    server = Server(address)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        server.serve()
    finally:
        server.end()


def _import_all() -> Any:
    """What a start imports; the modules that uvicorn chooses by their names, too."""
    import uvicorn.lifespan.on
    import uvicorn.loops.uvloop

    from api import process

    return process, uvicorn


if __name__ == "__main__":
    main(sys.argv[1])
