"""The stream's server, as its own tests have it."""

from tests.api.conftest import surroundings, world
from tests.api.stream.conftest import push, serve_stream, served

__all__ = ["push", "serve_stream", "served", "surroundings", "world"]
