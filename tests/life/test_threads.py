"""Threads that hang or cannot begin: the logs' and the storage's. Serving waits for neither."""

import logging
import queue
import sys
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from backend.clock import SystemClock
from backend.observability.logs import MOST_WAITING, DroppingQueueHandler, open_logs
from backend.redaction import Redactor
from backend.storage.sqlite_storage import DaemonThread, SqliteStorage

log = logging.getLogger("life")


class Hanging(StringIO):
    """An output whose reader has stopped reading."""

    def __init__(self, goes_on: threading.Event) -> None:
        super().__init__()
        self._goes_on = goes_on

    def write(self, text: str) -> int:
        self._goes_on.wait(30)
        return super().write(text)


class Broken(StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.fixture
def goes_on() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def waiting() -> int:
    [entrance] = logging.getLogger().handlers
    assert isinstance(entrance, DroppingQueueHandler)
    assert isinstance(entrance.queue, queue.Queue)
    return entrance.queue.qsize()


def test_a_hanging_writer_blocks_nothing_and_keeps_a_bounded_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes_on: threading.Event
) -> None:
    monkeypatch.setattr(sys, "stdout", Hanging(goes_on))
    with open_logs(tmp_path, "INFO", Redactor(())):
        for number in range(2 * MOST_WAITING):
            log.info("record %d", number)
        assert waiting() == MOST_WAITING
    assert not goes_on.is_set()  # leaving did not wait for it


def test_a_writer_continues_after_it_hung(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes_on: threading.Event
) -> None:
    output = Hanging(goes_on)
    monkeypatch.setattr(sys, "stdout", output)
    with open_logs(tmp_path, "INFO", Redactor(())):
        log.info("before")
        goes_on.set()
        log.info("after")
    assert [line.split()[-1] for line in output.getvalue().splitlines()] == ["before", "after"]


def test_outputs_that_fail_do_not_end_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Broken())
    monkeypatch.setattr(sys, "stderr", Broken())
    with open_logs(tmp_path, "INFO", Redactor(())):
        health = logging.getLogger("provider_health")
        (tmp_path / "provider_health.log").unlink()
        (tmp_path / "provider_health.log").mkdir()
        health.info("lost")
        log.info("lost")
        while waiting():
            threading.Event().wait(0.01)
        (tmp_path / "provider_health.log").rmdir()
        health.info("written")
    assert (tmp_path / "provider_health.log").read_text() == "written\n"


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As where the system has no room for one; `undo` gives it."""

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    return monkeypatch


def test_a_thread_that_cannot_start_starts_later(no_threads: pytest.MonkeyPatch) -> None:
    thread = DaemonThread("late")
    with pytest.raises(RuntimeError, match="can't start"):
        thread.submit(lambda: "lost")
    no_threads.undo()
    assert thread.submit(lambda: "done").result(5) == "done"
    thread.stop()


async def test_a_storage_without_a_thread_is_logged_once_and_works_later(
    tmp_path: Path, no_threads: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    storage = SqliteStorage(tmp_path / "gateway.sqlite", SystemClock(), retry_s=0.0)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            await storage.save_answer("a question", b"answer", 1.0)
        no_threads.undo()
        await storage.save_answer("a question", b"answer", 1.0)
    assert (await storage.load()).answers == {"a question": b"answer"}
    await storage.aclose()
    told = [record.message for record in caplog.records if record.name == "gateway"]
    assert [text.split(",")[0] for text in told] == [
        "STATE_PATH cannot be used",
        "STATE_PATH works again",
    ]
