"""What the HTTP floor counts for Prometheus: requests by route and result, the stream's readers."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.models.status import WebSocketStatus
from backend.observability.families import counter, gauge

#: The label of every path that no route knows.
UNMATCHED = "unmatched"
#: The values of X-Cache that are labels; any other answer has none.
CACHE = {b"hit": "hit", b"miss": "miss", b"stale": "stale"}

#: How often: the route's template, the status, what X-Cache said.
RequestCounts = Counter[tuple[str, int, str]]


class CountRequests:
    """Counts each answer as it begins: a stream's, too. Methods are no label."""

    def __init__(
        self, app: ASGIApp, counts: RequestCounts, templates: Mapping[object, str]
    ) -> None:
        self._app = app
        self._counts = counts
        self._templates = templates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                cache = CACHE.get(dict(message["headers"]).get(b"x-cache", b""), "")
                template = template_of(scope, self._templates)
                self._counts[template, message["status"], cache] += 1
            await send(message)

        await self._app(scope, receive, counted_send)


def template_of(scope: Scope, templates: Mapping[object, str]) -> str:
    """The route's path as it is declared; never what a client asked for."""
    route = scope.get("route")
    if route is None:
        return templates.get(scope.get("endpoint"), UNMATCHED)
    template: str = getattr(route, "path_format", UNMATCHED)
    return template


def templates_by_endpoint(routes: Iterable[BaseRoute]) -> dict[object, str]:
    """Of plain routes and mounts: FastAPI names its own routes in the scope, and not these."""
    found: dict[object, str] = {}
    for route in routes:
        if isinstance(route, Mount):
            found[route.app] = f"{route.path}/{{path}}"
        elif isinstance(route, Route):
            found[route.endpoint] = route.path_format
    return found


class FloorMetrics(Collector):
    """The counts of the requests; of the stream's readers and the loop's tasks as they are now."""

    def __init__(self, requests: RequestCounts, stream: Callable[[], WebSocketStatus]) -> None:
        self._requests = requests
        self._stream = stream

    def collect(self) -> Iterable[Metric]:
        yield counter(
            "requests",
            "Requests answered, by the route's template, status and X-Cache if there is one.",
            ("route", "status", "cache"),
            {(route, str(code), cache): n for (route, code, cache), n in self._requests.items()},
        )
        stream = self._stream()
        yield gauge("stream_clients", "Readers of the stream.", (), {(): stream.clients})
        yield counter(
            "stream_messages_sent", "Frames sent to readers.", (), {(): stream.messages_sent}
        )
        yield counter(
            "stream_messages_dropped",
            "Frames that lagging readers missed.",
            (),
            {(): stream.dropped},
        )
        yield gauge(
            "asyncio_tasks",
            "Tasks of the event loop, the server's own among them.",
            (),
            {(): len(asyncio.all_tasks())},
        )
