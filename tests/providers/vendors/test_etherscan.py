"""Etherscan: the oracle's digits survive, its errors in a 200 are errors, the key is never told."""

from decimal import Decimal
from typing import Any

import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from backend.errors import (
    AuthFailed,
    GeoBlocked,
    MalformedResponse,
    PlanRestricted,
    ProviderError,
    QueryRefused,
    QuotaSpent,
    RateLimited,
    UpstreamFailed,
)
from backend.models.chains import CHAINS, ChainName
from backend.models.gas import GasFees, GasQuery
from backend.providers.adapter import Auth, Call, Context, Plan, Window
from backend.providers.client import ProviderClient, parsed
from backend.providers.vendors import etherscan
from tests.clocks import EPOCH_MS

CONTEXT = Context("etherscan", "free", EPOCH_MS)
KEY = "NOTAREALKEYNOTAREALKEYNOTAREALKEY1"


def oracle(**changes: Any) -> dict[str, Any]:
    found = {
        "LastBlock": "26012345",
        "SafeGasPrice": "0.312345678",
        "ProposeGasPrice": "0.312345679",
        "FastGasPrice": "0.4",
        "suggestBaseFee": "0.301000009",
        "gasUsedRatio": "0.51,0.49,0.999,0.2,0.5",
    }
    return {name: value for name, value in (found | changes).items() if value is not ...}


def envelope(result: Any, status: Any = "1", message: str = "OK") -> dict[str, Any]:
    return {"status": status, "message": message, "result": result}


def refusal(text: Any) -> dict[str, Any]:
    return envelope(text, "0", "NOTOK")


def fees(payload: Any) -> GasFees:
    return etherscan.parse_gasoracle(GasQuery(), [payload], CONTEXT)


def test_prices_are_read_exactly() -> None:
    assert fees(envelope(oracle())) == GasFees(
        chain="ethereum",
        unit="gwei",
        slow=0.312345678,
        average=0.312345679,
        fast=0.4,
        base_fee=0.301000009,
        block=26_012_345,
        method="oracle",
    )


@given(st.integers(min_value=1, max_value=10**15))
def test_prices_are_exact_to_one_wei(wei: int) -> None:
    text = f"{wei // 10**9}.{wei % 10**9:09d}"
    found = fees(envelope(oracle(SafeGasPrice=text, ProposeGasPrice=text, FastGasPrice=text)))
    assert {Decimal(repr(price)) for price in (found.slow, found.average, found.fast)} == {
        Decimal(text)
    }


@given(
    st.decimals("0.000000001", 1_000_000, places=24).map(lambda price: f"{price:f}"),
)
def test_more_than_nine_places_are_rounded_to_nine(text: str) -> None:
    found = fees(envelope(oracle(suggestBaseFee=text))).base_fee
    assert found is not None
    assert abs(Decimal(repr(found)) - Decimal(text)) <= Decimal("0.5e-9")
    assert Decimal(repr(found)) == round(Decimal(repr(found)), 9)


def test_whole_gwei_and_prices_that_are_equal_are_fine() -> None:
    found = fees(envelope(oracle(SafeGasPrice="123", ProposeGasPrice="124", FastGasPrice="124")))
    assert (found.slow, found.average, found.fast) == (123.0, 124.0, 124.0)


@pytest.mark.parametrize("absent", [..., None])
def test_a_missing_base_fee_is_unknown(absent: Any) -> None:
    assert fees(envelope(oracle(suggestBaseFee=absent))).base_fee is None


@pytest.mark.parametrize("message", ["OK", "OK-Missing/Invalid API Key, rate limit of 1/5sec", ""])
def test_a_success_is_recognised_by_its_status_alone(message: str) -> None:
    payload = envelope(oracle(), message=message)
    assert etherscan.error_code(payload) is None
    assert fees(payload).block == 26_012_345


PRICES = ("SafeGasPrice", "ProposeGasPrice", "FastGasPrice", "suggestBaseFee")
NO_PRICES = ["0", "-1", "+1", "1e3", "NaN", "Infinity", "", " 1", "1_0", "x", ".5", "5.", "0x1"]
NO_PRICES += ["1,5", "٤", "0.0000000001", "312345678000000000", "9" * 5_000]


@pytest.mark.parametrize("value", [*NO_PRICES, 0.3, 1, True, float("nan"), [], {}], ids=repr)
@pytest.mark.parametrize("name", PRICES)
def test_an_implausible_price_is_malformed(name: str, value: Any) -> None:
    with pytest.raises(MalformedResponse):
        parsed(fees, envelope(oracle(**{name: value})))


@pytest.mark.parametrize(
    "change",
    [
        {"SafeGasPrice": "0.312345680"},
        {"FastGasPrice": "0.312345678"},
        {"SafeGasPrice": None},
        {"FastGasPrice": ...},
        *(
            {"LastBlock": block}
            for block in ("0", "-1", "x", "", "0x1", "1.5", "1_0", 5, None, ...)
        ),
    ],
    ids=str,
)
def test_unordered_prices_or_an_invalid_block_are_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedResponse):
        parsed(fees, envelope(oracle(**change)))


@pytest.mark.parametrize(
    "payload",
    [
        oracle(),
        envelope(None),
        envelope([]),
        envelope([oracle()]),
        envelope("0x1"),
        envelope({}),
        envelope(oracle(), status="0"),
        envelope(oracle(), status=1),
        envelope(oracle(), status=None),
        {"result": oracle()},
        {"status": "1"},
        {"jsonrpc": "2.0", "id": 1, "result": "0x1"},
    ],
    ids=str,
)
def test_an_answer_without_the_whole_oracle_is_malformed(payload: Any) -> None:
    with pytest.raises(MalformedResponse):
        parsed(fees, payload)


REFUSALS: list[tuple[Any, str, type[ProviderError]]] = [
    ("Missing/Invalid API Key", "key", AuthFailed),
    ("Invalid API Key", "key", AuthFailed),
    (f"Invalid API Key (#err2)|{KEY}", "key", AuthFailed),
    ("Too many invalid api key attempts, please try again later", "key", AuthFailed),
    ("Max calls per sec rate limit reached (3/sec)", "rate", RateLimited),
    ("Max calls per sec rate limit reached (5/sec)", "rate", RateLimited),
    ("Max rate limit reached, please use API Key for higher rate limit", "rate", RateLimited),
    ("Max daily rate limit reached. 100000 (100%) of 100000 day/limit", "daily", QuotaSpent),
    ("daily rate limit reached", "daily", QuotaSpent),
    ("Max calls per sec rate limit reached (3/sec), of 100000 day/limit", "rate", RateLimited),
    ("Rate limit of 5/s reached; upgrade for a higher daily limit", "rate", RateLimited),
    (
        "Free API access is not supported for this chain. Please upgrade your api plan.",
        "plan",
        PlanRestricted,
    ),
    ("Sorry, you are trying to access an API Pro endpoint.", "plan", PlanRestricted),
    ("Missing or unsupported chainid parameter (required for v2 api)", "plan", PlanRestricted),
    ("Error! Missing Or invalid Action name", "query", QueryRefused),
    ("You are using a deprecated V1 endpoint, switch to API V2", "query", QueryRefused),
    ("Unexpected error, timeout or server too busy", "unknown", UpstreamFailed),
    (f"unheard of|daily rate limit {KEY}", "unknown", UpstreamFailed),
    ("", "unknown", UpstreamFailed),
    (None, "unknown", UpstreamFailed),
    ([], "unknown", UpstreamFailed),
    ({"SafeGasPrice": KEY}, "unknown", UpstreamFailed),
]


@pytest.mark.parametrize(("text", "code"), [(text, code) for text, code, _ in REFUSALS], ids=str)
def test_the_text_of_a_refusal_is_read_up_to_the_bar(text: Any, code: str) -> None:
    assert etherscan.error_code(refusal(text)) == code


@pytest.mark.parametrize(
    ("code", "now_ms", "seconds"),
    [
        ("daily", EPOCH_MS, 16 * 3_600.0),
        ("daily", EPOCH_MS + 16 * 3_600_000 - 500, 0.5),
        ("daily", EPOCH_MS + 16 * 3_600_000, 86_400.0),
        ("rate", EPOCH_MS, None),
        ("unknown", EPOCH_MS, None),
    ],
)
def test_the_daily_quota_is_reset_at_midnight(
    code: str, now_ms: int, seconds: float | None
) -> None:
    assert etherscan.quota_reset_s(code, now_ms) == seconds


@pytest.mark.parametrize("payload", [None, "", "<html>", [], {}, [refusal("x")], {"status": 0}])
def test_a_body_without_a_refusal_has_no_code(payload: Any) -> None:
    assert etherscan.error_code(payload) is None


def test_the_oracle_is_one_call_to_ethereum_with_the_key_in_the_query() -> None:
    params = (("chainid", "1"), ("module", "gastracker"), ("action", "gasoracle"))
    call = Call("/v2/api", params, max_bytes=256 * 1024)
    assert etherscan.build_gasoracle(GasQuery(), CONTEXT) == (call,)
    plan = etherscan.FREE
    assert plan == Plan(
        "free",
        ("https://api.etherscan.io",),
        (Window(3, 1), Window(100_000, 86_400, kind="day")),
        Auth("query", "apikey"),
    )


@pytest.mark.parametrize(
    ("operation", "chain", "number"),
    [("gasoracle", "ethereum", "1"), ("gasoracle_polygon", "polygon", "137")],
)
def test_a_chain_of_the_free_plan_has_an_operation_of_its_own(
    operation: str, chain: ChainName, number: str
) -> None:
    """A plan that refuses one chain keeps the other."""
    (found,) = (one for one in etherscan.ADAPTER.operations if one.name == operation)
    served = [one.name for one in CHAINS.values() if found.serves(GasQuery(one.name), CONTEXT)]
    assert served == [chain]
    (call,) = found.build(GasQuery(chain), CONTEXT)
    assert dict(call.params)["chainid"] == number
    told = parsed(found.parse, GasQuery(chain), [envelope(oracle())], CONTEXT)
    assert told.chain == chain


URL = etherscan.FREE.base_urls[0]
(CALL,) = etherscan.build_gasoracle(GasQuery(), CONTEXT)
HTML = f"<html>Attention Required! {URL}/v2/api?apikey={KEY}</html>"


def everything_told(error: BaseException) -> str:
    inner = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return f"{error} {error!r} " + (everything_told(inner) if inner else "")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        *((200, refusal(text), kind) for text, _, kind in REFUSALS),
        (200, HTML, MalformedResponse),
        (403, HTML, GeoBlocked),
        (429, HTML, RateLimited),
        (502, HTML, UpstreamFailed),
        (301, HTML, MalformedResponse),
    ],
    ids=str,
)
async def test_a_refusal_becomes_the_documented_error_without_the_key(
    client: ProviderClient,
    respx_mock: respx.MockRouter,
    status: int,
    body: Any,
    kind: type[ProviderError],
) -> None:
    content = {"text": body} if isinstance(body, str) else {"json": body}
    route = respx_mock.get(URL + CALL.path).mock(return_value=httpx.Response(status, **content))
    with pytest.raises(ProviderError) as caught:
        await client.call(
            etherscan.ADAPTER, CALL, URL, (Auth("query", "apikey"), SecretStr(KEY)), 5.0
        )
    assert (type(caught.value), caught.value.http_status) == (kind, status)
    assert KEY in str(route.calls.last.request.url)
    assert KEY not in everything_told(caught.value)


@pytest.mark.parametrize(
    "payload",
    [
        KEY,
        {KEY: KEY},
        envelope(KEY),
        envelope(oracle(), status=KEY),
        envelope({KEY: "0.3"}),
        *(envelope(oracle(**{name: KEY})) for name in (*PRICES, "LastBlock")),
    ],
    ids=str,
)
def test_a_malformed_body_is_not_quoted(payload: Any) -> None:
    with pytest.raises(MalformedResponse) as caught:
        parsed(fees, payload)
    assert KEY not in everything_told(caught.value)


def test_a_number_out_of_bounds_is_not_quoted() -> None:
    with pytest.raises(MalformedResponse) as caught:
        parsed(fees, envelope(oracle(FastGasPrice="1234567.125")))
    assert "1234567.125" not in everything_told(caught.value)
