"""Behind a version of uvicorn or websockets that the gateway does not know: the plain way."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from api.server import known_versions
from api.server.bounded_websocket import BoundedWebSocket
from api.server.direct_http import DirectHttp
from api.server.known_versions import KNOWN, is_server_known, unknown_versions
from api.stream.sinks import QueueSink, TransportSink
from tests.api.stream.client import Served
from tests.api.stream.conftest import ServeStream

#: Values that are not the same for two gateways.
MOMENTS = re.compile(r"age|date|ratelimit|etag|content-length|x-cache")
PATHS = ("/api/gas", "/api/market?limit=3", "/api/nothing", "/healthz", "/docs")


def test_the_installed_versions_are_known(caplog: pytest.LogCaptureFixture) -> None:
    """After an upgrade: run the tests with it, and add it to KNOWN."""
    assert unknown_versions() == ""
    assert is_server_known()
    assert caplog.text == ""


@pytest.fixture(params=sorted(KNOWN))
def unknown(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    monkeypatch.setitem(known_versions.KNOWN, name, ("999.",))
    return name


@pytest.fixture
async def plain(serve_stream: ServeStream, unknown: str) -> AsyncIterator[Served]:
    async with serve_stream() as served:
        yield served


async def test_one_warning_says_what_is_missing(
    plain: Served, unknown: str, caplog: pytest.LogCaptureFixture
) -> None:
    (warning,) = [one for one in caplog.get_records("setup") if "not known" in one.message]
    assert warning.message.startswith(f"{unknown} ")
    assert "no limits for slow clients" in warning.message
    assert not isinstance(plain.server.config.http, type)
    assert plain.server.config.ws_protocol_class is not BoundedWebSocket


async def shown(served: Served) -> list[tuple[int, dict[str, str], object]]:
    found = []
    async with httpx.AsyncClient(base_url=served.url) as client:
        for path in PATHS * 3:
            response = await client.get(path, headers={"X-Request-Id": "the-same"})
            fields = response.headers.items()
            headers = {name: "" if MOMENTS.fullmatch(name) else text for name, text in fields}
            found.append((response.status_code, headers, _data(response)))
    return found


def _data(response: httpx.Response) -> object:
    has_meta = (
        response.headers["content-type"] == "application/json" and b"meta" in response.content
    )
    return response.json()["data"] if has_meta else response.content


async def test_the_plain_way_sends_the_same(
    serve_stream: ServeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    responses, first_frames, sinks = [], [], []
    for known in (KNOWN["uvicorn"], ("999.",)):
        monkeypatch.setitem(known_versions.KNOWN, "uvicorn", known)
        async with serve_stream() as served, served.reader("?channels=gas,sentiment") as reader:
            for channel in ("gas", "sentiment"):
                await reader.next(op="data", channel=channel)
            first_frames.append([(one["op"], one.get("channel")) for one in reader.seen[:5]])
            (subscriber,) = served.broadcaster._subscribers
            sinks.append(type(subscriber._sink))
            await reader.say(op="ping", id=1)
            assert (await reader.next(op="pong"))["id"] == 1
            responses.append(await shown(served))
            is_direct = served.server.config.http is DirectHttp
            assert is_direct is (known != ("999.",))
    assert sinks == [TransportSink, QueueSink]
    assert first_frames[0] == first_frames[1]
    for direct, usual in zip(*responses, strict=True):
        assert direct == usual
