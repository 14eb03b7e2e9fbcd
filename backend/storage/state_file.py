"""The SQLite file itself: blocking, for one thread. Everything that goes wrong is raised."""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from backend.storage.contract import FIRST_SECOND, KeptBlock, Remembered

T = TypeVar("T")

log = logging.getLogger("gateway")

#: Time that SQLite waits for the transaction of another process, in seconds.
BUSY_TIMEOUT_S = 1.0
#: What SQLite keeps beside the file, by the end of its name.
COMPANIONS = ("-wal", "-shm", "-journal")
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
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
SIGN_OF_LIFE = """INSERT INTO life VALUES (1, ?1, ?1)
    ON CONFLICT (one) DO UPDATE SET seen_at = excluded.seen_at"""

#: Answers with a time in the future go too: a wrong clock wrote them, and they would never be old.
TRIM_ANSWERS = """DELETE FROM answers WHERE substr(question, 1, length(?1)) = ?1
    AND question NOT IN (SELECT question FROM answers WHERE substr(question, 1, length(?1)) = ?1
        AND stored_at <= ?2 ORDER BY stored_at DESC LIMIT ?3)"""
KEEP_BLOCK = "REPLACE INTO blocks VALUES (?,?,?,?,?,?)"
READ_BLOCKS = "SELECT name, state, reason, until_s, was_told, noted_s FROM blocks"
FORGET_BLOCK = "DELETE FROM blocks WHERE name = ?"


class StateFile:
    """Opened when first needed, and anew after each failure: a disk may have got room again.

    A file that is damaged is set aside, with one warning; what was in it is not remembered.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._path, self._busy_timeout_s = path, busy_timeout_s
        self._connection: sqlite3.Connection | None = None

    def __repr__(self) -> str:
        return f"<StateFile {self._path} {'open' if self._connection else 'closed'}>"

    def read(self) -> Remembered:
        return self._run(_read)

    def add(self, amounts: Mapping[tuple[str, int], int], now_s: float) -> None:
        """All of them and the sign of life, or nothing."""
        rows = [(window, minute, amount) for (window, minute), amount in amounts.items()]

        def add(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                connection.executemany(ADD_CALLS, rows)
                connection.execute(SIGN_OF_LIFE, (now_s,))

        self._run(add)

    def keep(self, question: str, body: bytes, now_s: float, most: int | None = None) -> None:
        """In place of the answer before; of its category (the part before `/`) only the `most`
        newest stay."""
        prefix = f"{question.partition('/')[0]}/"

        def keep(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                connection.execute("REPLACE INTO answers VALUES (?,?,?)", (question, body, now_s))
                if most is not None:
                    connection.execute(TRIM_ANSWERS, (prefix, now_s, most))

        self._run(keep)

    def keep_block(self, name: str, block: KeptBlock | None) -> None:
        if block is None:
            self._run(lambda connection: connection.execute(FORGET_BLOCK, (name,)))
            return
        row = (name, block.state, block.reason, block.until_s, block.was_told, block.noted_s)
        self._run(lambda connection: connection.execute(KEEP_BLOCK, row))

    def forget(self, minute: int, second: int, answers_before_s: float) -> None:
        def forget(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                connection.execute("DELETE FROM calls WHERE minute < ?", (minute,))
                seconds = (FIRST_SECOND, second - 1)
                connection.execute("DELETE FROM calls WHERE minute BETWEEN ? AND ?", seconds)
                connection.execute("DELETE FROM blocks WHERE until_s < ?", (second,))
                connection.execute("DELETE FROM answers WHERE stored_at < ?", (answers_before_s,))

        self._run(forget)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return self._attempt(work)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._set_aside()
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
            beside = Path(f"{self._path}{suffix}")
            if beside.exists() and not beside.is_file():  # a pipe may keep us waiting
                raise OSError(f"{beside.name} is not a regular file")
        connection = sqlite3.connect(self._path, timeout=self._busy_timeout_s, isolation_level=None)
        try:
            with suppress(sqlite3.OperationalError):  # network disks have none: slower, not worse
                connection.execute("PRAGMA journal_mode = WAL")
            # A killed process loses nothing; a power cut may cost the last moments.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self) -> None:
        for suffix in ("", *COMPANIONS):
            with suppress(FileNotFoundError):
                damaged = Path(f"{self._path}{suffix}")
                damaged.replace(f"{damaged}.damaged")


def _read(connection: sqlite3.Connection) -> Remembered:
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":  # better now than in the middle of a run
        raise _damaged(verdict)
    calls: dict[str, dict[int, int]] = {}
    try:
        for window, minute, amount in connection.execute("SELECT * FROM calls"):
            calls.setdefault(window, {})[int(minute)] = int(amount)
        answers = dict(
            connection.execute("SELECT question, body FROM answers WHERE typeof(body) = 'blob'")
        )
        life = connection.execute("SELECT known_since, seen_at FROM life").fetchone()
        since, seen = map(float, life) if life else (None, None)
        blocks = {
            str(name): KeptBlock(str(state), str(reason), float(until), bool(told), float(noted))
            for name, state, reason, until, told, noted in connection.execute(READ_BLOCKS)
        }
    except (TypeError, ValueError) as error:  # SQLite keeps any text in any column
        raise _damaged(str(error)) from None
    return Remembered(calls, answers, since, seen, blocks)


def _damaged(detail: str) -> sqlite3.DatabaseError:
    damage = sqlite3.DatabaseError(detail)
    damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return damage


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0)  # the module's own errors have none
    return code & 0xFF in DAMAGE


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise
