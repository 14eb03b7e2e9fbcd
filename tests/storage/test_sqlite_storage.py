"""The storage over real files: kills, disk faults, locks. None of them delays a caller."""

import asyncio
import logging
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from threading import Event

import pytest

from backend.clock import SystemClock
from backend.storage.contract import FIRST_SECOND_TICK, SavedState, Storage
from backend.storage.sqlite_storage import MAX_PENDING, SqliteStorage, open_storage
from backend.storage.state_file import StateFile

WINDOW = "coingecko/month"
LOG = "gateway"
Open = Callable[..., SqliteStorage]
CANNOT = "STATE_PATH cannot be used, its data would be lost in a restart: "
CHILD = """
import asyncio, sys
from pathlib import Path
from backend.clock import SystemClock
from backend.storage.sqlite_storage import open_storage

async def main():
    storage = open_storage(Path(sys.argv[1]), SystemClock())
    await storage.load()
    for number in range(int(sys.argv[2])):
        await storage.add_calls({("w", number % 50): 1, ("v", 0): 2}, float(number))
        await storage.save_answer("market/0", b"%d" % number * 5_000, float(number))
        print(number + 1, flush=True)
    await storage.aclose()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "gateway.sqlite"


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        def opened(path: Path, retry_s: float = 0.0, **times: float) -> SqliteStorage:
            storage = SqliteStorage(path, SystemClock(), retry_s=retry_s, **times)
            stack.push_async_callback(storage.aclose)
            return storage

        yield opened


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOG]


async def calls_of(path: Path) -> dict[str, dict[int, int]]:
    storage = SqliteStorage(path, SystemClock())
    state = await storage.load()
    await storage.aclose()
    return {window: dict(amounts) for window, amounts in state.calls.items()}


def child(path: Path, rounds: int, *prefix: str) -> "subprocess.Popen[str]":
    command = [*prefix, sys.executable, "-c", CHILD, str(path), str(rounds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def test_a_reopened_storage_loads_what_was_saved(opened: Open, path: Path) -> None:
    first = opened(path)
    assert await first.load() == SavedState()
    await first.add_calls({(WINDOW, 1): 2, (WINDOW, 2): 1}, 60.0)
    await first.add_calls({(WINDOW, 1): 3}, 70.0)
    await first.save_answer("gas/0", b"{}", 75.0)
    await first.heartbeat(80.0)
    await first.aclose()
    expected = SavedState({WINDOW: {1: 5, 2: 1}}, {"gas/0": b"{}"}, 80.0)
    assert await opened(path).load() == expected


async def test_old_entries_are_deleted(opened: Open, path: Path) -> None:
    storage = opened(path)
    await storage.add_calls({(WINDOW, 1): 2, (WINDOW, 2): 1}, 60.0)
    await storage.save_answer("gas/0", b"{}", 75.0)
    await storage.delete_before(2, 0, 76.0)
    left = await storage.load()
    assert (left.calls, left.answers) == ({WINDOW: {2: 1}}, {})


async def test_calls_added_at_the_same_time_are_all_saved(opened: Open, path: Path) -> None:
    storage = opened(path)
    await asyncio.gather(*(storage.add_calls({(WINDOW, n % 3): 1}, 0.0) for n in range(300)))
    assert (await storage.load()).calls == {WINDOW: {0: 100, 1: 100, 2: 100}}


@pytest.mark.parametrize("after", [1, 20, 150])
async def test_a_kill_loses_no_confirmed_write(path: Path, after: int) -> None:
    process = child(path, 100_000)
    assert process.stdout
    for _ in range(after):
        process.stdout.readline()
    process.kill()
    lines = process.stdout.read().split("\n")  # includes what was read ahead
    process.communicate()
    said = int(lines[-2]) if len(lines) > 1 else after  # the last line may be cut
    calls = await calls_of(path)
    assert said <= sum(calls["w"].values()) <= said + 1
    assert calls["v"] == {0: 2 * sum(calls["w"].values())}


async def test_two_processes_may_share_a_file(path: Path) -> None:
    both = [child(path, 150), child(path, 150)]
    for process in both:
        assert (await asyncio.to_thread(process.communicate))[1] == ""
    calls = await calls_of(path)
    assert sum(calls["w"].values()) == 300
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_a_damaged_file_is_logged_once_and_replaced(
    opened: Open, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"junk" * 5_000)
    storage = opened(path)
    assert await storage.load() == SavedState()
    await storage.add_calls({(WINDOW, 1): 2}, 60.0)
    assert len(messages(caplog)) == 1
    assert "damaged" in messages(caplog)[0]
    assert await storage.load() == SavedState({WINDOW: {1: 2}}, {}, 60.0)


def a_folder(path: Path) -> None:
    path.mkdir(parents=True)


def below_a_file(path: Path) -> None:
    path.parent.write_text("no folder")


@pytest.mark.parametrize("obstacle", [a_folder, below_a_file])
async def test_an_unusable_path_is_logged_once_and_its_recovery_once(
    opened: Open,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    obstacle: Callable[[Path], None],
) -> None:
    obstacle(path)
    storage = opened(path)
    with caplog.at_level(logging.INFO):
        assert await use(storage) == SavedState()
        assert len(messages(caplog)) == 1
        assert messages(caplog)[0].startswith(CANNOT)
        assert "failing" in repr(storage)
        a_file_in_the_way = path if path.exists() else path.parent
        (a_file_in_the_way.rmdir if a_file_in_the_way.is_dir() else a_file_in_the_way.unlink)()
        await storage.heartbeat(90.0)
        await storage.heartbeat(91.0)
    assert messages(caplog)[1:] == ["STATE_PATH works again"]
    assert "failing" not in repr(storage)


async def use(storage: Storage) -> SavedState:
    """Every method once; the calls are those of minute 1."""
    state = await storage.load()
    await storage.add_calls({(WINDOW, 1): 2}, 60.0)
    await storage.save_answer("market/0", b"x" * 5_000, 60.0)
    storage.save_block("a/keyless", None)
    await storage.delete_before(0, 0, 0.0)
    await storage.heartbeat(61.0)
    return state


async def test_unsaved_calls_are_saved_with_the_next_ones(opened: Open, path: Path) -> None:
    path.mkdir(parents=True)
    storage = opened(path)
    await storage.add_calls({(WINDOW, 1): 2, (WINDOW, 2): 1}, 60.0)
    await storage.add_calls({(WINDOW, 1): 2}, 60.0)
    path.rmdir()
    await storage.heartbeat(90.0)
    assert (await storage.load()).calls == {WINDOW: {1: 4, 2: 1}}


async def test_pending_calls_of_a_failing_file_are_bounded(opened: Open, path: Path) -> None:
    path.mkdir(parents=True)
    storage = opened(path, retry_s=3_600.0)
    for second in range(0, 3 * MAX_PENDING, 1_000):
        ticks = range(FIRST_SECOND_TICK + second, FIRST_SECOND_TICK + second + 1_000)
        await storage.add_calls({("a/minute", tick): 1 for tick in ticks}, 60.0)
        await storage.add_calls({(WINDOW, 1): 1}, 60.0)
    assert len(storage._pending_calls) <= MAX_PENDING
    added = 3 * MAX_PENDING // 1_000
    assert storage._pending_calls[WINDOW, 1] == added, "calls of a month are not dropped"
    await storage.add_calls({(WINDOW, tick): 1 for tick in range(2 * MAX_PENDING)}, 60.0)
    assert len(storage._pending_calls) == MAX_PENDING


async def test_a_failed_file_is_not_used_for_a_while(opened: Open, path: Path) -> None:
    path.mkdir(parents=True)
    storage = opened(path, retry_s=10.0)
    await storage.heartbeat(60.0)
    path.rmdir()
    await storage.heartbeat(61.0)
    assert not path.exists()


async def test_a_write_that_started_before_a_failure_does_not_end_it(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk may have room for a call and none for an answer."""

    def fail(*_arguments: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    storage = opened(path, retry_s=0.2)
    monkeypatch.setattr(StateFile, "save_answer", fail)
    with caplog.at_level(logging.INFO):
        kept, _ = await asyncio.gather(
            storage.save_answer("market/0", b"x", 61.0),
            storage.add_calls({(WINDOW, 1): 1}, 61.0),
        )
        assert not kept
        assert messages(caplog) == [f"{CANNOT}OperationalError: disk I/O error"]
        monkeypatch.undo()
        assert not await storage.save_answer("market/0", b"x", 61.0)
        await asyncio.sleep(0.25)
        assert await storage.save_answer("market/0", b"x", 61.0)
    assert messages(caplog)[1:] == ["STATE_PATH works again"]


async def test_a_full_disk_is_logged_once_and_tears_no_write(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount")
    try:
        storage = opened(disk / "gateway.sqlite")
        await storage.add_calls({(WINDOW, 1): 2}, 60.0)
        with pytest.raises(OSError, match="No space"):
            (disk / "other").write_bytes(b"x" * 400_000)
        with caplog.at_level(logging.INFO):
            for minute in range(2, 200):
                await storage.add_calls({(WINDOW, minute): 1}, 61.0)
                await storage.save_answer("market/0", b"x" * 100_000, 61.0)
            assert len(messages(caplog)) == 1
            (disk / "other").unlink()
            await storage.heartbeat(62.0)
            assert messages(caplog)[-1] == "STATE_PATH works again"
        state = await storage.load()
        assert sum(state.calls[WINDOW].values()) == 200
        await storage.aclose()
    finally:
        subprocess.run(["umount", disk], check=True)


async def test_a_limit_on_the_files_size_is_a_full_disk(path: Path) -> None:
    """In a child: the limit would be ours for good."""
    code = CHILD.replace(
        "asyncio.run(main())",
        "import resource, signal, logging; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "logging.basicConfig(); resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000));"
        "asyncio.run(main())",
    )
    command = [sys.executable, "-c", code, str(path), "200"]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0
    assert done.stdout.split()[-1] == "200"
    assert done.stderr.count("\n") == 1
    assert "STATE_PATH cannot be used" in done.stderr
    calls = await calls_of(path)
    assert 0 < sum(calls["w"].values()) < 200


async def test_a_read_only_folder_is_logged_once(tmp_path: Path) -> None:
    """In a child without root, which may write everywhere."""
    script = CHILD.replace(
        "asyncio.run(main())",
        "import logging, os; logging.basicConfig()\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "asyncio.run(main())",
    )
    folder = Path(f"/tmp/read-only-{os.getpid()}")  # noqa: S108 - pytest's own may not be entered
    folder.mkdir(mode=0o555)
    try:
        command = [sys.executable, "-c", script, str(folder / "gateway.sqlite"), "50"]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=30
        )
        assert (done.returncode, done.stdout.split()[-1]) == (0, "50")
        assert done.stderr.count("\n") == 1
        assert "unable to open database file" in done.stderr
        assert list(folder.iterdir()) == []
    finally:
        folder.rmdir()


async def test_a_lock_of_another_process_is_logged_once_and_blocks_nothing(
    opened: Open, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = opened(path, busy_timeout_s=0.3)
    await storage.add_calls({(WINDOW, 1): 2}, 60.0)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with caplog.at_level(logging.INFO):
        began, slept = time.monotonic(), 0.0
        writing = asyncio.create_task(write_until(storage, began + 1.0))
        while not writing.done():
            before = time.monotonic()
            await asyncio.sleep(0.01)
            slept = max(slept, time.monotonic() - before)
        assert slept < 0.3
        assert len(messages(caplog)) == 1
        assert "locked" in messages(caplog)[0]
        holder.execute("COMMIT")
        holder.close()
        await storage.heartbeat(70.0)
    assert messages(caplog)[1:] == ["STATE_PATH works again"]
    assert (await storage.load()).calls == {WINDOW: {1: 2 + writing.result()}}


async def write_until(storage: Storage, end: float) -> int:
    written = 0
    while time.monotonic() < end:
        await storage.add_calls({(WINDOW, 1): 1}, 61.0)
        written += 1
    return written


async def test_a_file_that_is_locked_at_the_start_is_still_loaded(opened: Open, path: Path) -> None:
    first = opened(path)
    await first.add_calls({(WINDOW, 1): 2}, 60.0)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert (await opened(path).load()).calls == {WINDOW: {1: 2}}
    holder.close()


class HangingFile(StateFile):
    """Writes when it is let go on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.goes_on = Event()

    def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float | None) -> None:
        self.goes_on.wait()
        super().add_calls(amounts, now_s)


@pytest.fixture
def hanging(path: Path) -> Iterator[tuple[SqliteStorage, HangingFile]]:
    storage, file = (
        SqliteStorage(path, SystemClock(), timeout_s=0.2, retry_s=0.0),
        HangingFile(path),
    )
    storage._file = file
    yield storage, file
    file.goes_on.set()


async def test_a_hanging_disk_delays_one_operation(
    hanging: tuple[SqliteStorage, HangingFile], caplog: pytest.LogCaptureFixture
) -> None:
    storage, file = hanging
    began = time.monotonic()
    with caplog.at_level(logging.INFO):
        both = storage.add_calls({(WINDOW, 1): 1}, 61.0), storage.save_answer("gas/0", b"x", 61.0)
        await asyncio.gather(*both)
        for _ in range(50):
            await storage.add_calls({(WINDOW, 1): 1}, 61.0)
            await storage.save_answer("market/0", b"x", 61.0)
        assert time.monotonic() - began < 1
        assert messages(caplog) == [f"{CANNOT}TimeoutError: nothing within 0.2 s"]
        file.goes_on.set()
        await until(lambda: storage._hanging is not None and storage._hanging.done())
        await storage.heartbeat(70.0)
    assert messages(caplog)[1:] == ["STATE_PATH works again"]
    left = await storage.load()
    assert (left.calls, left.answers) == ({WINDOW: {1: 51}}, {})
    await storage.aclose()


async def test_close_does_not_wait_for_a_hanging_disk(
    hanging: tuple[SqliteStorage, HangingFile],
) -> None:
    storage, _ = hanging
    storage._timeout_s = 60.0
    writing = asyncio.create_task(storage.heartbeat(60.0))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await storage.aclose()
    assert time.monotonic() - began < 1
    writing.cancel()


async def test_after_close_nothing_is_saved_and_nothing_raised(
    opened: Open, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = opened(path)
    await storage.aclose()
    assert await use(storage) == SavedState()
    assert not path.exists()
    assert len(messages(caplog)) == 1


async def test_without_a_path_nothing_is_saved() -> None:
    storage = open_storage(None, SystemClock())
    assert type(storage) is Storage
    assert await use(storage) == SavedState()
    assert await use(storage) == SavedState()
    await storage.aclose()


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not happened():
            await asyncio.sleep(0.01)
