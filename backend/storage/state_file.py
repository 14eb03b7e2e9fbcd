"""The SQLite file: blocking, for one thread. Every failure is raised."""

import logging
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from backend.storage.contract import FIRST_SECOND_TICK, SavedBlock, SavedState

T = TypeVar("T")

log = logging.getLogger("gateway")

#: Time that SQLite waits for the transaction of another process, in seconds.
BUSY_TIMEOUT_S = 1.0
#: Suffixes of the files that SQLite keeps beside the database.
COMPANIONS = ("-wal", "-shm", "-journal")
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# Names of columns are those of existing files: `minute` is a tick, `question` an answer's key.
SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (window TEXT, minute INTEGER, amount INTEGER NOT NULL,
    PRIMARY KEY (window, minute)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (question TEXT PRIMARY KEY, body BLOB, stored_at REAL);
CREATE TABLE IF NOT EXISTS blocks (name TEXT PRIMARY KEY, state TEXT, reason TEXT, until_s REAL,
    was_told INTEGER, noted_s REAL);
CREATE TABLE IF NOT EXISTS life (one INTEGER PRIMARY KEY CHECK (one = 1),
    known_since REAL, seen_at REAL);
"""
ADD_CALLS = """INSERT INTO calls VALUES (?, ?, ?)
    ON CONFLICT (window, minute) DO UPDATE SET amount = amount + excluded.amount"""
HEARTBEAT = """INSERT INTO life VALUES (1, ?1, ?1)
    ON CONFLICT (one) DO UPDATE SET seen_at = excluded.seen_at"""
SAVE_ANSWER = "REPLACE INTO answers VALUES (?,?,?)"
#: Also deletes answers with a time in the future: a wrong clock wrote them, and they never get old.
TRIM_ANSWERS = """DELETE FROM answers WHERE substr(question, 1, length(?1)) = ?1
    AND question NOT IN (SELECT question FROM answers WHERE substr(question, 1, length(?1)) = ?1
        AND stored_at <= ?2 ORDER BY stored_at DESC LIMIT ?3)"""
SAVE_BLOCK = "REPLACE INTO blocks VALUES (?,?,?,?,?,?)"
READ_BLOCKS = "SELECT name, state, reason, until_s, was_told, noted_s FROM blocks"
DELETE_BLOCK = "DELETE FROM blocks WHERE name = ?"


class StateFile:
    """Opened at the first use, and again after each failure: a full disk may have space again.

    A damaged file is renamed, with one warning; its content is lost.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._path, self._busy_timeout_s = path, busy_timeout_s
        self._connection: sqlite3.Connection | None = None

    def __repr__(self) -> str:
        return f"<StateFile {self._path} {'open' if self._connection else 'closed'}>"

    def load(self) -> SavedState:
        return self._run(_load)

    def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float | None) -> None:
        """Saves all amounts and a heartbeat, or nothing; no heartbeat if `now_s` is None."""
        rows = [(ADD_CALLS, (*window_tick, amount)) for window_tick, amount in amounts.items()]
        life = [] if now_s is None else [(HEARTBEAT, (now_s,))]
        self._write(*rows, *life)

    def save_answer(
        self, key: str, body: bytes, now_s: float, max_answers: int | None = None
    ) -> None:
        """Replaces the answer of this key. Of its category (the part before `/`) only the
        `max_answers` newest answers stay."""
        prefix = f"{key.partition('/')[0]}/"
        trim = [] if max_answers is None else [(TRIM_ANSWERS, (prefix, now_s, max_answers))]
        self._write((SAVE_ANSWER, (key, body, now_s)), *trim)

    def save_block(self, name: str, block: SavedBlock | None) -> None:
        if block is None:
            self._write((DELETE_BLOCK, (name,)))
            return
        times = block.until_s, block.from_provider, block.recorded_s
        self._write((SAVE_BLOCK, (name, block.state, block.reason, *times)))

    def delete_before(self, minute: int, second: int, answers_before_s: float) -> None:
        self._write(
            ("DELETE FROM calls WHERE minute < ?", (minute,)),
            ("DELETE FROM calls WHERE minute BETWEEN ? AND ?", (FIRST_SECOND_TICK, second - 1)),
            ("DELETE FROM blocks WHERE until_s < ?", (second,)),
            ("DELETE FROM answers WHERE stored_at < ?", (answers_before_s,)),
        )

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def _write(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        """Executes all or none: a failure closes the connection, which rolls back."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            for statement, values in statements:
                connection.execute(statement, values)
            connection.execute("COMMIT")

        self._run(write)

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return self._attempt(work)
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0)  # errors of the module itself have none
            if code & 0xFF not in DAMAGE:
                raise
            for suffix in ("", *COMPANIONS):
                with suppress(FileNotFoundError):
                    Path(f"{self._path}{suffix}").replace(f"{self._path}{suffix}.damaged")
            log.warning("STATE_PATH is damaged and set aside as *.damaged: %s", error)
        return self._attempt(work)

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            self._connection = self._connection or self._open()
            return work(self._connection)
        except BaseException:
            self.close()
            raise

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for suffix in ("", *COMPANIONS):
            file = Path(f"{self._path}{suffix}")
            if file.exists() and not file.is_file():  # opening a pipe may hang
                raise OSError(f"{file.name} is not a regular file")
        connection = sqlite3.connect(self._path, timeout=self._busy_timeout_s, isolation_level=None)
        try:
            with suppress(sqlite3.OperationalError):  # not on network disks: slower, but safe
                connection.execute("PRAGMA journal_mode = WAL")
            # A killed process loses nothing; a power cut may lose the last moments.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection


def _load(connection: sqlite3.Connection) -> SavedState:
    calls: dict[str, dict[int, int]] = {}
    try:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":  # found now rather than in the middle of a run
            raise ValueError(verdict)
        for window, tick, amount in connection.execute("SELECT * FROM calls"):
            calls.setdefault(window, {})[int(tick)] = int(amount)
        answers = dict(
            connection.execute("SELECT question, body FROM answers WHERE typeof(body) = 'blob'")
        )
        life = connection.execute("SELECT seen_at FROM life").fetchone()
        seen_at = float(life[0]) if life else None
        blocks = {
            str(name): SavedBlock(str(state), str(reason), float(until), bool(stated), float(at))
            for name, state, reason, until, stated, at in connection.execute(READ_BLOCKS)
        }
    except (TypeError, ValueError) as error:  # SQLite accepts any text in any column
        damage = sqlite3.DatabaseError(str(error))
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage from None
    return SavedState(calls, answers, seen_at, blocks)
