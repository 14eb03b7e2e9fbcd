"""A process is a worker only by the sockets of a supervisor."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue

import pytest

from api.server.worker import ALIVE, DIED, LAST_LINE, SERVES, Worker, worker_arguments

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    supervisor, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with supervisor, worker:
        yield supervisor, worker


@contextmanager
def line_end() -> Iterator[socket.socket]:
    received, lines = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with received, lines:
        yield lines


def made(pair: Pair, index: int = 1) -> Worker:
    """As a process makes it from the descriptors that it inherits."""
    with socket.create_server(("127.0.0.1", 0)) as listening, line_end() as lines:
        handed = [os.dup(one.fileno()) for one in (pair[1], lines, listening)]
    pair[1].close()
    worker = Worker.of(
        ["run_server.py", *worker_arguments(index, handed[0], handed[1], handed[2:])]
    )
    assert worker is not None
    return worker


def close(worker: Worker) -> None:
    for one in (worker.pair, worker.lines.channel, *worker.listening):
        one.close()


def test_a_worker_is_what_its_supervisor_hands_over(pair: Pair) -> None:
    worker = made(pair)
    assert (worker.index, worker.lines.process, worker.lines.is_starting) == (1, 1, True)
    assert [one.getsockname()[0] for one in worker.listening] == ["127.0.0.1"]
    worker.serves()
    worker.is_alive()
    worker.says_last("invalid setting  PORT")
    said = [pair[0].recv(100) for _ in range(3)]
    assert said == [SERVES, ALIVE, LAST_LINE + b"invalid setting  PORT"]
    assert not worker.lines.is_starting
    close(worker)


def test_the_first_worker_logs_its_start(pair: Pair) -> None:
    worker = made(pair, 0)
    assert not worker.lines.is_starting
    close(worker)


def test_a_supervisor_that_does_not_read_delays_no_worker(pair: Pair) -> None:
    worker = made(pair)
    for _ in range(5_000):
        worker.is_alive()
    close(worker)


def test_a_worker_hears_of_deaths_and_notices_the_end_of_its_supervisor(pair: Pair) -> None:
    worker, alone, died = made(pair), threading.Event(), Queue[int]()
    worker.watch(alone.set, died.put)
    for pid in (123, 4_194_304):
        pair[0].send(DIED + str(pid).encode())
        assert died.get(timeout=2) == pid
    assert not alone.wait(0.1)
    pair[0].close()
    assert alone.wait(2)
    close(worker)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--worker=0"],
        ["--worker=0", "--pair=x", "--lines=1", "--listening=2"],
        ["--worker=0", "--pair=0", "--lines=1", "--listening=2"],
        ["--worker=0", "--pair=9999", "--lines=9999", "--listening=9999"],
        ["--worker=0", "--pair=99999999999999999999", "--lines=1", "--listening=2"],
    ],
)
def test_arguments_of_somebody_else_are_ignored(arguments: list[str]) -> None:
    assert Worker.of(arguments) is None
    os.fstat(1)  # it was not closed


def test_other_sockets_than_a_supervisors_are_ignored_and_stay_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.fileno()
        assert Worker.of(worker_arguments(0, number, number, [number])) is None
        other.getsockname()
