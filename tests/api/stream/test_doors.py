"""Who may follow the stream: keys by header or as the first message, origins, limits."""

import json

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.api.stream.conftest import ServeStream

KEY = "a-gateway-key-1"


async def test_a_key_comes_as_the_first_message(serve_stream: ServeStream) -> None:
    async with serve_stream(GATEWAY_API_KEYS=KEY) as served, served.reader("?channels=gas") as one:
        await one.say(op="auth", key=KEY)
        assert (await one.any())["op"] == "hello"
        assert (await one.next(op="data"))["channel"] == "gas"


async def test_a_key_may_come_by_header(serve_stream: ServeStream) -> None:
    async with (
        serve_stream(GATEWAY_API_KEYS=KEY) as served,
        served.reader(additional_headers={"Authorization": f"Bearer {KEY}"}) as one,
    ):
        assert (await one.any())["op"] == "hello"


@pytest.mark.parametrize(
    "first",
    [
        json.dumps({"op": "auth", "key": "another-key-1"}),
        json.dumps({"op": "auth", "key": None}),
        json.dumps({"op": "subscribe", "channel": "market"}),
        json.dumps([KEY]),
        "nonsense",
        b"\x00",
    ],
)
async def test_without_a_good_key_nothing_is_told(
    serve_stream: ServeStream, first: str | bytes
) -> None:
    async with serve_stream(GATEWAY_API_KEYS=KEY) as served, served.reader() as one:
        await one.connection.send(first)
        with pytest.raises(ConnectionClosedError) as closed:
            await one.any()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
        assert one.seen == []
        assert served.broadcaster.counters().clients == 0


async def test_without_keys_nobody_is_asked(serve_stream: ServeStream) -> None:
    async with serve_stream() as served, served.reader() as one:
        assert (await one.any())["op"] == "hello"


@pytest.mark.parametrize(
    ("origin", "enters"),
    [
        (None, True),
        ("https://page.example", True),
        ("own", True),
        ("own behind TLS", True),
        ("https://evil.example", False),
        ("null", False),
    ],
)
async def test_pages_of_other_origins_stay_outside(
    serve_stream: ServeStream, origin: str | None, enters: bool
) -> None:
    async with serve_stream(CORS_ORIGINS="https://page.example") as served:
        own = {"own": served.url, "own behind TLS": served.url.replace("http:", "https:")}
        sent = own.get(origin or "", origin)
        if enters:
            async with served.reader(origin=sent) as one:
                assert (await one.any())["op"] == "hello"
        else:
            with pytest.raises(InvalidStatus) as refused:
                async with served.reader(origin=sent):
                    pass
            assert refused.value.response.status_code == 403


async def test_who_connects_too_often_is_refused(serve_stream: ServeStream) -> None:
    async with serve_stream(CLIENT_RATE_LIMIT="1/hour") as served:
        async with served.reader() as one:
            assert (await one.any())["op"] == "hello"
        with pytest.raises(InvalidStatus):
            async with served.reader():
                pass
