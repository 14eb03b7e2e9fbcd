"""Questions that are passed through: refusals are answers, failures are failures."""

import json
from typing import Any

import httpx
import pytest

from backend.errors import (
    AllProvidersFailed,
    AuthFailed,
    GeoBlocked,
    MalformedResponse,
    NoProviderConfigured,
    QuestionBlocked,
    RateLimited,
    UpstreamFailed,
)
from backend.models.pass_through import PassThroughQuery, VendorAnswer
from backend.models.status import ProviderState
from backend.orchestration.provider import Provider
from backend.providers.adapter import Adapter
from backend.providers.vendors import binance, coingecko
from tests.clocks import ManualClock
from tests.walk import Walk, refuse

COIN = PassThroughQuery("coingecko", "/coins/bitcoin", (("tickers", "false"),))
KLINES = PassThroughQuery("binance", "/api/v3/klines", (("symbol", "BTCUSDT"),), weight=2)


def answer(body: Any, status: int = 200) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.Response(status, content=content)


def one(walk: Walk, *script: Any, adapter: Adapter = coingecko.ADAPTER, **options: Any) -> Provider:
    walk.wire.scripts["a"] = list(script)
    return walk.add("a", adapter=adapter, **options)


async def test_the_bytes_are_the_vendors_own(clock: ManualClock) -> None:
    body = b'{ "price": 1.10,  "name": "\\u20ac" }'
    walk = Walk(clock)
    found = await one(walk, answer(body)).fetch(COIN, 3)
    assert found.data == VendorAnswer(200, body)
    assert str(walk.wire.requests[0].url) == "https://a.example/coins/bitcoin?tickers=false"


@pytest.mark.parametrize(
    ("body", "passed_on"),
    [
        (b'\xef\xbb\xbf{"a": 1}', b'{"a": 1}'),
        (b'{"a": "\\ud800"}', b'{"a": "\\ufffd"}'),
        (b'{"a": "\xff"}', '{"a": "\ufffd"}'.encode()),
    ],
)
async def test_what_other_programs_could_not_read_is_repaired(
    clock: ManualClock, body: bytes, passed_on: bytes
) -> None:
    assert (await one(Walk(clock), answer(body)).fetch(COIN, 3)).data.body == passed_on


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"error": "coin not found"}),
        (400, {"error": "invalid vs_currency"}),
        (422, {"error": "Missing parameter vs_currency"}),
        (401, {"status": {"error_code": 10005, "error_message": "a paid plan"}}),
        (401, {"error": {"status": {"error_code": 10012, "error_message": "365 days"}}}),
    ],
)
async def test_a_refusal_of_the_question_is_an_answer(
    clock: ManualClock, status: int, body: Any
) -> None:
    walk = Walk(clock)
    provider = one(walk, answer(body, status), answer({}), key="CG-key")
    for expected in (status, 200):  # the next question is asked: nothing is restricted
        found = await provider.fetch(PassThroughQuery("coingecko", f"/coins/{expected}"), 3)
        assert found.data.status == expected
    assert provider.success_rate == 1.0
    assert provider.status().status == "active"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (answer(b"<html>"), MalformedResponse),
        (answer(b"", 204), MalformedResponse),
        (answer({"status": {"error_code": 500}}), MalformedResponse),
        (answer({"error": "something"}), MalformedResponse),
        (answer({"error": {"message": "something"}}), MalformedResponse),
        (answer({"error": {"code": 500}}), MalformedResponse),
        (answer({"error": "x"}, 500), UpstreamFailed),
        (answer({"status": {"error_code": 429}}), RateLimited),
        (answer({"status": {"error_code": 10002}}, 401), AuthFailed),
        (answer(b"<html>no</html>", 400), None),
        (refuse, None),
    ],
)
async def test_a_failure_is_no_answer(
    clock: ManualClock, reply: Any, kind: type[Exception] | None
) -> None:
    with pytest.raises(kind or Exception):
        await one(Walk(clock), reply).fetch(COIN, 3)


async def test_a_coin_with_the_name_of_an_error_is_an_answer(clock: ManualClock) -> None:
    """Else anybody could have CoinGecko cool down by asking for it."""
    prices = {"error": {"usd": 1.5, "usd_market_cap": None}, "status": {"usd": 2}}
    provider = one(Walk(clock), answer(prices))
    assert (await provider.fetch(COIN, 3)).data.status == 200
    assert provider.status().status == "active"


@pytest.mark.parametrize(
    "reply", [answer(b"<html>firewall</html>", 403), answer(b"<html>no</html>", 401)]
)
async def test_a_firewall_that_refuses_a_readers_words_stops_no_other_question(
    clock: ManualClock, reply: httpx.Response
) -> None:
    walk = Walk(clock)
    provider = one(walk, reply, answer({}), key="CG-key")
    with pytest.raises(QuestionBlocked):
        await provider.fetch(PassThroughQuery("coingecko", "/search"), 3)
    assert (await provider.fetch(COIN, 3)).data.status == 200
    assert provider.status().status == "active"


async def test_a_legal_block_is_one_whoever_asks(clock: ManualClock) -> None:
    provider = one(Walk(clock), answer({"code": 0}, 451), adapter=binance.ADAPTER)
    with pytest.raises(GeoBlocked):
        await provider.fetch(KLINES, 3)
    assert provider.status().status == "geo_blocked"


async def test_an_error_of_binance_with_the_status_200_is_no_answer(clock: ManualClock) -> None:
    provider = one(Walk(clock), answer({"code": -1, "msg": "x"}), adapter=binance.ADAPTER)
    with pytest.raises(MalformedResponse):
        await provider.fetch(KLINES, 3)


async def test_a_path_that_a_host_lacks_is_asked_of_the_next_one(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts |= {"one": [answer(b"not found", 404)], "two": [answer([[1]])]}
    provider = walk.add("a", adapter=binance.ADAPTER, hosts=("one", "two"))
    for _ in range(2):
        assert (await provider.fetch(KLINES, 3)).data.body == b"[[1]]"
    assert walk.wire.calls == {"one": 2, "two": 2}, "the first host stays the first"
    assert provider.status().status == "active"


async def test_a_path_that_all_hosts_lack_does_not_take_the_provider_out(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    provider = one(walk, answer(b"not found", 404), adapter=binance.ADAPTER)
    with pytest.raises(AllProvidersFailed) as caught:
        await walk.manager().fetch(KLINES)
    assert caught.value.is_unsupported
    assert provider.status().status == "active"


async def test_only_the_vendor_is_asked(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts |= {"gecko": [answer({"error": "x"}, 500)], "bin": [answer({})]}
    walk.add("gecko", adapter=coingecko.ADAPTER)
    walk.add("bin", adapter=binance.ADAPTER)
    with pytest.raises(AllProvidersFailed) as caught:
        await walk.manager().fetch(COIN)
    assert walk.wire.calls == {"gecko": 1}
    assert [refusal.provider for refusal in caught.value.refusals] == ["gecko"]


async def test_the_next_key_of_the_vendor_is_asked(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts |= {"pro": [answer({}, 503)], "free": [answer({"id": "bitcoin"})]}
    walk.add("pro", adapter=coingecko.ADAPTER, key="CG-key", keyless=False)
    walk.add("free", adapter=coingecko.ADAPTER)
    assert (await walk.manager().fetch(COIN)).source == "free"


async def test_a_vendor_that_is_switched_off_is_not_configured(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.add("gecko", adapter=coingecko.ADAPTER)
    walk.add("bin", adapter=binance.ADAPTER, state=ProviderState.DISABLED)
    with pytest.raises(NoProviderConfigured):
        await walk.manager().fetch(KLINES)
