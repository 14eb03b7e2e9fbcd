"""What must outlive a restart: an SQLite file at STATE_PATH, or nothing."""

from backend.storage.contract import NoStorage, Remembered, Storage
from backend.storage.sqlite_storage import SqliteStorage, open_storage

__all__ = ["NoStorage", "Remembered", "SqliteStorage", "Storage", "open_storage"]
