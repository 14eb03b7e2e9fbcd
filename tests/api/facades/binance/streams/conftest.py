"""A gateway that really serves, in front of the loopback world and its push stream."""

from tests.api.stream.conftest import push, serve_stream, served

__all__ = ["push", "serve_stream", "served"]
