"""Storage of what must outlive a restart: an SQLite file at STATE_PATH, or nothing."""
