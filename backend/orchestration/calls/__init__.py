"""Calls to one provider: its hosts, its key, its plan."""
