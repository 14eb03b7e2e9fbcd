"""The request counters of `/metrics`, and the API's other metrics."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.types import Scope

from backend.models.status import WebSocketStatus
from backend.observability.metrics import counter, gauge

#: The route label of all paths that no route matches.
UNMATCHED = "unmatched"
#: Values of X-Cache that are labels; any other response has an empty label.
_CACHE_LABELS = {b"hit": "hit", b"miss": "miss", b"stale": "stale"}

#: Labels of a response: the route's template, the status, X-Cache.
Labels = tuple[str, int, str]
RequestCounts = Counter[Labels]


def labels_of(template: str, status: int, headers: Iterable[tuple[bytes, bytes]]) -> Labels:
    """`headers` have names in lower case."""
    return template, status, _CACHE_LABELS.get(dict(headers).get(b"x-cache", b""), "")


def template_of(scope: Scope) -> str:
    """The declared path of the route that was found; never the path of the request."""
    return getattr(scope.get("route"), "path_format", UNMATCHED)


class ApiMetrics(Collector):
    """Counters of requests; the stream's clients and the loop's tasks at the time of the scrape."""

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
        stream, tasks = self._stream(), len(asyncio.all_tasks())
        sent, dropped = stream.messages_sent, stream.dropped
        for make, name, text, value in (
            (gauge, "stream_clients", "Clients of the stream.", stream.clients),
            (counter, "stream_messages_sent", "Frames sent to clients.", sent),
            (counter, "stream_messages_dropped", "Frames that slow clients skipped.", dropped),
            (gauge, "asyncio_tasks", "Tasks of the event loop, including the server's own.", tasks),
        ):
            yield make(name, text, (), {(): value})
