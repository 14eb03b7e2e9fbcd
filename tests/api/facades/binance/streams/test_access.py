"""Who may read Binance's streams, how many, and how others are refused."""

import json
import logging

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.api.facades.binance.streams.client import BOOK, PRICE, TRADE, client, enveloped
from tests.api.stream.client import Served, until
from tests.api.stream.conftest import ServeStream
from tests.world.push import PushWorld

KEY = "a-gateway-key-1"


async def refusal(
    served: Served, path: str = "/binance/ws", **options: object
) -> tuple[int, bytes]:
    with pytest.raises(InvalidStatus) as refused:
        async with client(served, path, **options):
            pass
    response = refused.value.response
    return response.status_code, bytes(response.body or b"")


@pytest.mark.parametrize(
    ("name", "value"), [("BINANCE_STREAM_URL", ""), ("BINANCE_ENABLED", "false")]
)
async def test_without_a_stream_of_the_vendor_the_handshake_is_refused(
    serve_stream: ServeStream, name: str, value: str
) -> None:
    async with serve_stream() as first:
        assert first.app.state.raw_streams is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.world.push.PushWorld.url", "")
        settings = {} if name == "BINANCE_STREAM_URL" else {name: value}
        async with serve_stream(**settings) as served:
            for path in ("/binance/ws", f"/binance/ws/{TRADE}", f"/binance/stream?streams={TRADE}"):
                status, body = await refusal(served, path)
                document = json.loads(body)
                assert (status, document["code"]) == (503, -1001)
                assert "BINANCE_STREAM_URL" in document["msg"]
            async with served.reader() as other:
                assert (await other.any())["op"] == "hello"


async def test_without_the_dialect_there_are_no_streams(serve_stream: ServeStream) -> None:
    async with serve_stream(FACADES="mcp") as served:
        assert served.app.state.raw_streams is None
        assert (await refusal(served))[0] in (403, 404)


@pytest.mark.parametrize(
    ("headers", "is_admitted"),
    [
        ({"X-MBX-APIKEY": KEY}, True),
        ({"X-API-Key": KEY}, True),
        ({"Authorization": f"Bearer {KEY}"}, True),
        ({"X-MBX-APIKEY": "another-key-1"}, False),
        ({}, False),
    ],
)
async def test_gateway_keys_lock_the_streams(
    serve_stream: ServeStream, headers: dict[str, str], is_admitted: bool
) -> None:
    async with serve_stream(GATEWAY_API_KEYS=KEY) as served:
        for path in ("/binance/ws", f"/binance/ws/{TRADE}", "/binance/stream"):
            if is_admitted:
                async with client(served, path, additional_headers=headers) as one:
                    assert (await one.say("LIST_SUBSCRIPTIONS", *()))["id"] == 1
            else:
                status, body = await refusal(served, path, additional_headers=headers)
                assert (status, json.loads(body)["code"]) == (401, -1002)


async def test_a_refused_handshake_is_no_error_of_the_server(
    serve_stream: ServeStream, caplog: pytest.LogCaptureFixture
) -> None:
    """Else anybody could fill the log."""
    async with serve_stream(GATEWAY_API_KEYS=KEY) as served:
        assert (await refusal(served))[0] == 401
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []


async def test_a_clients_key_goes_nowhere(
    served: Served, push: PushWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither upstream, nor into logs and metrics."""
    caplog.set_level(logging.DEBUG)
    headers = {"X-MBX-APIKEY": KEY}
    async with client(served, f"/binance/ws/{TRADE}", additional_headers=headers) as one:
        await push.until_asked(TRADE)
        sent = [session.connection.request for session in push.sessions]
        assert all(request and KEY not in str((request.path, request.headers)) for request in sent)
        assert KEY not in str([session.commands for session in push.sessions])
        await one.say("LIST_SUBSCRIPTIONS", *())
        assert KEY not in (await served.get("/metrics")).text
    ours = [one.getMessage() for one in caplog.records if one.name != "websockets.client"]
    assert KEY not in str(ours)
    assert "connection open" in ours


async def test_pages_of_other_origins_are_refused(serve_stream: ServeStream) -> None:
    async with serve_stream(CORS_ORIGINS="https://page.example") as served:
        async with client(served, origin="https://page.example") as one:
            assert (await one.say("LIST_SUBSCRIPTIONS", *()))["result"] == []
        status, body = await refusal(served, origin="https://evil.example")
        assert (status, json.loads(body)["code"]) == (403, -1002)


async def test_a_client_that_connects_too_often_is_refused(serve_stream: ServeStream) -> None:
    async with serve_stream(CLIENT_RATE_LIMIT="1/hour") as served:
        async with client(served):
            pass
        status, body = await refusal(served)
        assert (status, json.loads(body)["code"]) == (429, -1003)


async def test_the_places_of_clients_are_shared_with_the_other_stream(
    serve_stream: ServeStream,
) -> None:
    async with serve_stream(WS_MAX_CLIENTS="3", CLIENT_MAX_SHARE="1") as served:
        async with client(served), client(served), served.reader():
            status, body = await refusal(served)
            assert (status, json.loads(body)["code"]) == (503, -1001)
        await until(lambda: served.broadcaster._slots._clients == {})
        async with client(served) as one:
            assert (await one.say("LIST_SUBSCRIPTIONS", *()))["result"] == []


async def test_one_address_cannot_take_all_places(serve_stream: ServeStream) -> None:
    async with (
        serve_stream(WS_MAX_CLIENTS="4", CLIENT_MAX_SHARE="0.5") as served,
        client(served),
        client(served),
    ):
        assert (await refusal(served))[0] == 503
        async with client(served, local_addr=("127.0.0.2", 0)) as other:
            assert (await other.say("LIST_SUBSCRIPTIONS", *()))["result"] == []


async def test_the_streams_of_a_client_and_of_an_address_are_bounded(
    serve_stream: ServeStream,
) -> None:
    names = [f"c{number}usdt@trade" for number in range(600)]
    async with serve_stream() as served, client(served) as one, client(served) as two:
        refused = await one.say("SUBSCRIBE", *names[:513])
        assert refused["msg"] == "Invalid request: a client has at most 512 streams"
        assert await one.say("SUBSCRIBE", *names[:400]) == {"result": None, "id": 1}
        assert await two.say("SUBSCRIBE", *names[300:400]) == {"result": None, "id": 1}
        refused = await two.say("SUBSCRIBE", *names[400:513], id=2)
        words = "Invalid request: the clients of one address have at most 512 streams"
        assert refused == {"code": 2, "msg": words, "id": 2}
        assert await two.say("SUBSCRIBE", *names[400:512]) == {"result": None, "id": 1}


async def test_the_streams_of_all_clients_are_bounded(serve_stream: ServeStream) -> None:
    async with serve_stream() as served:
        places = [("127.0.0.1", 0), ("127.0.0.2", 0), ("127.0.0.3", 0)]
        async with (
            client(served, local_addr=places[0]) as one,
            client(served, local_addr=places[1]) as two,
            client(served, local_addr=places[2]) as three,
        ):
            await one.say("SUBSCRIBE", *[f"c{number}usdt@trade" for number in range(512)])
            await two.say("SUBSCRIBE", *[f"d{number}usdt@trade" for number in range(512)])
            refused = await three.say("SUBSCRIBE", TRADE)
            assert (
                refused["msg"] == "Invalid request: all clients together have at most 1024 streams"
            )
            assert (await three.say("SUBSCRIBE", "d1usdt@trade"))["result"] is None


async def test_messages_are_charged(serve_stream: ServeStream) -> None:
    async with serve_stream(CLIENT_RATE_LIMIT="3/hour") as served, client(served) as one:
        for number in (1, 2):  # with the handshake: three units
            assert (await one.say("SUBSCRIBE", TRADE, id=number))["id"] == number
        refused = await one.say("SUBSCRIBE", BOOK, id=3)
        assert (refused["code"], refused["id"]) == (-1003, 3)


async def test_a_client_with_too_many_messages_is_closed(served: Served) -> None:
    async with client(served) as one:
        for _ in range(30):
            await one.connection.send("{}")
        assert await one.closed() == (1008, "at most 5 messages a second")


async def test_another_unit_of_time_is_refused(served: Served, push: PushWorld) -> None:
    path = f"/binance/stream?streams={TRADE}&timeUnit="
    status, body = await refusal(served, f"{path}MICROSECOND")
    assert (status, json.loads(body)["code"]) == (400, -1100)
    async with client(served, f"{path}millisecond") as one:
        await push.until_asked(TRADE)
        await push.tell(enveloped(TRADE), TRADE)
        assert await one.text() == enveloped(TRADE, PRICE)


@pytest.mark.parametrize("path", ["/binance/ws", f"/binance/ws/{TRADE}", "/binance/stream"])
async def test_without_an_upgrade_the_answer_says_so(served: Served, path: str) -> None:
    async with httpx.AsyncClient(base_url=served.url) as http:
        answer = await http.get(path)
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert answer.json()["code"] == -1000
