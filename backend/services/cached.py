"""What the services need of a source behind a cache."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

from backend.errors import GatewayError
from backend.models.answer import Answer, Query, Source

Q_contra = TypeVar("Q_contra", bound=Query[Any], contravariant=True)
T = TypeVar("T")


class Cached(Source[Q_contra, T], Protocol[Q_contra, T]):
    """As backend.cache.cached_source.CachedSource, which documents each method."""

    async def costs_a_call(self, query: Q_contra) -> bool: ...
    def watch(
        self, ask: Callable[[], Awaitable[tuple[Q_contra, Answer[T]]]]
    ) -> AsyncGenerator[Answer[T] | GatewayError]: ...
    async def update(
        self,
        query: Q_contra,
        change: Callable[[Answer[T]], Answer[T] | None],
        *,
        is_fresh: bool = False,
    ) -> None: ...
