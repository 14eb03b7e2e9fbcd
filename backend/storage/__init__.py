"""Storage of what must outlive a restart: an SQLite file at STATE_PATH, or nothing."""

from backend.storage.contract import NoStorage, SavedBlock, SavedState, Storage
from backend.storage.sqlite_storage import SqliteStorage, open_storage
from backend.storage.validation import discard_invalid

__all__ = [
    "NoStorage",
    "SavedBlock",
    "SavedState",
    "SqliteStorage",
    "Storage",
    "discard_invalid",
    "open_storage",
]
