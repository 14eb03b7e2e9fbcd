"""Cached responses: bodies encoded once per refresh, with their codings and entity tags."""
