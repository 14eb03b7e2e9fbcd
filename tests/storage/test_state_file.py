"""The SQLite file: saved data is loaded again, and a damaged file is set aside."""

import logging
import os
import random
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from backend.storage.contract import FIRST_SECOND_TICK, SavedBlock, SavedState
from backend.storage.state_file import StateFile

WINDOW = "coingecko/month"
START_S = float(FIRST_SECOND_TICK)
BLOCK = SavedBlock("rate_limited", "rate_limited", START_S + 60.0, True, START_S)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "gateway.sqlite"


def filled(path: Path) -> StateFile:
    """Many pages of calls and answers."""
    file = StateFile(path)
    file.add_calls({(WINDOW, minute): 3 for minute in range(2_000)}, 60.0)
    file.add_calls({(WINDOW, 7): 1, ("etherscan/day", 7): 5}, 120.0)
    for number in range(5):
        file.save_answer(f"ohlc/{number}", bytes([number]) * 20_000, 90.0)
    return file


def reopened(path: Path) -> SavedState:
    file = StateFile(path)
    try:
        return file.load()
    finally:
        file.close()


def test_a_new_file_is_empty(path: Path) -> None:
    assert reopened(path) == SavedState()
    assert path.exists()


def test_saved_data_is_loaded_again(path: Path) -> None:
    filled(path).close()
    state = reopened(path)
    assert state.calls[WINDOW] == dict.fromkeys(range(2000), 3) | {7: 4}
    assert state.calls["etherscan/day"] == {7: 5}
    assert state.answers == {f"ohlc/{n}": bytes([n]) * 20_000 for n in range(5)}
    assert state.seen_at == 120.0


def test_saved_data_is_loaded_without_a_close(path: Path) -> None:
    file = filled(path)
    assert reopened(path).seen_at == 120.0
    file.close()


def test_amounts_add_up_and_may_be_negative(path: Path) -> None:
    file = StateFile(path)
    for amount in (2, 5, -3):
        file.add_calls({(WINDOW, 1): amount}, 0.0)
    file.close()
    assert reopened(path).calls == {WINDOW: {1: 4}}


def test_an_answer_replaces_the_one_before(path: Path) -> None:
    file = StateFile(path)
    file.save_answer("market/0", b"old", 1.0)
    file.save_answer("market/0", b"new", 2.0)
    assert file.load().answers == {"market/0": b"new"}
    file.close()


def test_only_the_newest_answers_of_a_category_stay(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.db")
    file.save_answer("market/0", b"market", 1.0, 1)
    for number in (1, 2, 3, 4, 5):
        file.save_answer(f"ohlc/{number}", b"x", float(number), 3)
    file.save_answer("ohlc/3", b"again", 6.0, 3)
    assert set(file.load().answers) == {"market/0", "ohlc/3", "ohlc/4", "ohlc/5"}


def test_an_answer_from_the_future_does_not_displace_a_new_one(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.db")
    file.save_answer("market/0", b"of a wrong clock", 9_000.0, 1)
    file.save_answer("market/1", b"new", 10.0, 1)
    assert file.load().answers == {"market/1": b"new"}


def test_old_entries_are_deleted(path: Path) -> None:
    file = StateFile(path)
    file.add_calls({(WINDOW, 1): 1, (WINDOW, 2): 2}, 0.0)
    file.save_answer("old", b"", 10.0)
    file.save_answer("young", b"", 20.0)
    second = FIRST_SECOND_TICK + 5
    file.add_calls({("minute", second - 1): 1, ("minute", second): 2}, 0.0)
    file.save_block("over", replace(BLOCK, until_s=second - 1.0))
    file.save_block("in force", BLOCK)
    file.delete_before(2, second, 20.0)
    left = file.load()
    assert left.calls == {WINDOW: {2: 2}, "minute": {second: 2}}
    assert (list(left.answers), left.blocks) == (["young"], {"in force": BLOCK})
    file.close()


def test_a_block_is_saved_replaced_and_deleted(path: Path) -> None:
    file = StateFile(path)
    file.save_block("binance/keyless", BLOCK)
    longer = replace(BLOCK, until_s=BLOCK.until_s + 60, from_provider=False)
    file.save_block("binance/keyless", longer)
    file.save_block("etherscan/1", BLOCK)
    file.save_block("etherscan/1", None)
    file.save_block("nobody", None)
    file.close()
    assert reopened(path).blocks == {"binance/keyless": longer}


def test_closing_twice_and_going_on_is_allowed(path: Path) -> None:
    file = filled(path)
    file.close()
    file.close()
    assert repr(file) == f"<StateFile {path} closed>"
    file.add_calls({(WINDOW, 1): 1}, 130.0)
    assert file.load().calls[WINDOW][1] == 4
    assert repr(file) == f"<StateFile {path} open>"
    file.close()


@pytest.mark.parametrize("kept", [100, 5_000, 0.5, 0.99])
def test_a_truncated_file_is_set_aside(
    path: Path, caplog: pytest.LogCaptureFixture, kept: float
) -> None:
    filled(path).close()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])
    assert_set_aside(path, caplog)


@pytest.mark.parametrize("junk", [b"no database at all\n" * 500, random.Random(1).randbytes(9_000)])
def test_a_file_of_junk_is_set_aside(
    path: Path, caplog: pytest.LogCaptureFixture, junk: bytes
) -> None:
    path.parent.mkdir()
    path.write_bytes(junk)
    assert_set_aside(path, caplog)
    assert Path(f"{path}.damaged").read_bytes() == junk


def assert_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With one warning, and the new file works."""
    file = StateFile(path)
    with caplog.at_level(logging.INFO):
        assert file.load() == SavedState()
        file.add_calls({(WINDOW, 1): 1}, 500.0)
    file.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert reopened(path) == SavedState({WINDOW: {1: 1}}, {}, 500.0)


def test_junk_in_any_page_is_not_read_or_set_aside(tmp_path: Path) -> None:
    filled(tmp_path / "whole").close()
    whole, dice = (tmp_path / "whole").read_bytes(), random.Random(5)
    for place in range(0, len(whole), 4_096):
        path = tmp_path / f"{place}.sqlite"
        path.write_bytes(whole[:place] + dice.randbytes(4_096) + whole[place + 4_096 :])
        file = StateFile(path)
        file.load()
        file.add_calls({(WINDOW, 1): 1}, 500.0)
        file.save_answer("market/0", b"x" * 9_000, 500.0)
        assert file.load().seen_at == 500.0
        file.close()


def test_damage_of_an_open_file_is_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = filled(path)
    file.close()
    file.load()
    path.write_bytes(b"junk" * (path.stat().st_size // 4))
    assert file._connection
    file._connection.execute("PRAGMA shrink_memory")  # else it goes on with what it has read
    for number in range(3):
        file.add_calls({(WINDOW, number): 1}, 500.0)
    file.close()
    assert len(caplog.records) == 1
    left = reopened(path)
    assert (left.seen_at, left.calls) == (500.0, {WINDOW: {0: 1, 1: 1, 2: 1}})


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO calls VALUES ('a', 'noon', 1)",
        "INSERT INTO calls VALUES ('a', 1, x'00')",
        "INSERT INTO life VALUES (1, NULL, NULL)",
        "INSERT INTO life VALUES (1, 'then', 'now')",
    ],
)
def test_values_of_a_wrong_type_are_damage(
    path: Path, caplog: pytest.LogCaptureFixture, statement: str
) -> None:
    filled(path).close()
    with sqlite3.connect(path) as other:
        other.execute("DELETE FROM life")
        other.execute(statement)
    other.close()
    assert_set_aside(path, caplog)


def test_an_answer_that_is_not_bytes_is_skipped(path: Path) -> None:
    filled(path).close()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE answers SET body = 'text' WHERE question = 'ohlc/1'")
        other.execute("UPDATE answers SET body = 5000000 WHERE question = 'ohlc/2'")
    other.close()
    assert set(reopened(path).answers) == {"ohlc/0", "ohlc/3", "ohlc/4"}


def test_tables_of_another_program_are_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE calls (theirs TEXT)")
    other.close()
    file = StateFile(path)
    with pytest.raises(sqlite3.OperationalError):
        file.add_calls({(WINDOW, 1): 1}, 0.0)
    file.close()
    assert not list(path.parent.glob("*.damaged"))


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_a_pipe_in_place_of_a_file_is_refused_and_left_alone(path: Path, suffix: str) -> None:
    pipe = Path(f"{path}{suffix}")
    pipe.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(pipe)
    file = StateFile(path)
    with pytest.raises(OSError, match="is not a regular file"):
        file.load()
    assert [found.name for found in path.parent.iterdir()] == [pipe.name]
    pipe.unlink()
    file.load()
    file.close()


def test_nothing_is_written_beside_a_device(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/dev/null")
    with pytest.raises(OSError, match="is not a regular file"):
        StateFile(path).load()
    assert not Path("/dev/null-journal").exists()
