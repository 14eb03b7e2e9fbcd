"""The layer that counts requests."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from api.edge.request_counts import CountRequests, RequestCounts


async def hear() -> Message:
    raise AssertionError("nobody asks")


async def count(status: int, scope: Scope, *headers: tuple[bytes, bytes]) -> RequestCounts:
    """What is counted of one answer; it passes through untouched."""
    counts, sent = RequestCounts(), list[Message]()
    start = {"type": "http.response.start", "status": status, "headers": [*headers]}
    body = {"type": "http.response.body", "body": b"-"}

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start)
        await send(body)

    async def send(message: Message) -> None:
        sent.append(message)

    await CountRequests(app, counts, {})(scope, hear, send)
    assert sent == [start, body]
    return counts


@pytest.mark.parametrize("path", ["/", "/wp-login.php", "/api/market/x/y"])
async def test_a_path_that_no_route_knows_has_one_label(path: str) -> None:
    counts = await count(404, {"type": "http", "path": path})
    assert counts == {("unmatched", 404, ""): 1}


@pytest.mark.parametrize(
    ("told", "label"), [(b"hit", "hit"), (b"stale", "stale"), (b"HIT from far away", "")]
)
async def test_x_cache_is_a_label_where_it_is_one_of_ours(told: bytes, label: str) -> None:
    counts = await count(200, {"type": "http"}, (b"age", b"1"), (b"x-cache", told))
    assert counts == {("unmatched", 200, label): 1}


async def test_other_than_http_passes_uncounted() -> None:
    assert await count(200, {"type": "websocket"}) == {}
