"""What must outlive a restart: an SQLite file at STATE_PATH, or nothing."""

from backend.storage.contract import KeptBlock, NoStorage, Remembered, Storage
from backend.storage.soundness import sound
from backend.storage.sqlite_storage import SqliteStorage, open_storage

__all__ = [
    "KeptBlock",
    "NoStorage",
    "Remembered",
    "SqliteStorage",
    "Storage",
    "open_storage",
    "sound",
]
