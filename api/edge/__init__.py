"""The ASGI layer in front of every route: access, limits, headers, errors, counts."""
