"""A thread that delays neither the event loop nor the end of the process."""

import subprocess
import sys
import threading
import time
import weakref
from functools import partial

import pytest

from backend.storage.sqlite_storage import DaemonThread

HANGING = """
import threading
from backend.storage.sqlite_storage import DaemonThread
DaemonThread("hanging").submit(threading.Event().wait)
"""


def test_work_runs_in_order_in_one_other_thread() -> None:
    thread, done = DaemonThread("one"), list[int]()

    def work(place: int) -> int:
        done.append(place)
        return threading.get_ident()

    idents = [thread.submit(partial(work, place)) for place in range(100)]
    assert len({ident.result(5) for ident in idents} | {threading.get_ident()}) == 2
    assert done == list(range(100))
    thread.stop()


def test_an_error_reaches_the_caller_and_the_thread_goes_on() -> None:
    thread = DaemonThread("raising")
    with pytest.raises(ZeroDivisionError):
        thread.submit(lambda: 1 / 0).result(5)
    assert thread.submit(lambda: "on").result(5) == "on"
    thread.stop()


def test_cancelled_work_does_not_run() -> None:
    thread, gate, done = DaemonThread("cancelled"), threading.Event(), list[str]()
    thread.submit(gate.wait)
    late = thread.submit(lambda: done.append("late"))
    assert late.cancel()
    gate.set()
    thread.submit(lambda: done.append("last")).result(5)
    assert done == ["last"]
    thread.stop()


def test_stop_finishes_submitted_work_and_refuses_more() -> None:
    thread, done = DaemonThread("ending"), list[str]()
    last = thread.submit(lambda: done.append("last"))
    thread.stop()
    last.result(5)
    assert done == ["last"]
    with pytest.raises(RuntimeError, match="closed"):
        thread.submit(lambda: None)


class Answer:
    """What weak references can follow."""


def test_finished_work_is_forgotten_while_the_thread_waits_for_more() -> None:
    thread, answer = DaemonThread("waiting"), Answer()
    is_alive = weakref.ref(answer)
    thread.submit(partial(id, answer)).result(5)
    del answer
    until = time.monotonic() + 5
    while is_alive() and time.monotonic() < until:
        time.sleep(0.001)  # the thread tells the result a moment before it forgets the work
    assert is_alive() is None
    thread.stop()


def test_a_process_ends_although_its_work_hangs() -> None:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", HANGING], check=True, timeout=10)
    assert time.monotonic() - began < 5
