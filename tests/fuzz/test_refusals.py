"""What an answer's status, headers and text may make of it: one of our errors, or a success."""

import math
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import ProviderError, QuotaSpent
from backend.providers.refusals import LONGEST_RETRY_AFTER_S, refusal_in
from backend.providers.registry import REGISTRY
from tests.clocks import EPOCH, EPOCH_MS
from tests.fuzz.budget import budget, told_of

ADAPTERS: dict[str, Any] = {spec.adapter.vendor: spec.adapter for spec in REGISTRY}

NEAR = st.integers(-(10**9), 10**9).map(
    lambda seconds: format_datetime(EPOCH + timedelta(seconds=seconds), usegmt=True)
)
ODD = (
    *(
        "",
        " ",
        ",",
        "0",
        "-5",
        "60",
        "1e9",
        "6_0",
        "٣٠",
        "9" * 16,
        "9" * 5_000,
        "0x10",
        "inf",
        "NaN",
    ),
    *(
        "Sun, 22 Nov 2026 08:00:00",
        "Sun, 22 Nov 2026 08:00:00 +9999999999",
        "Sun, 99 Nov 2026 25:61",
    ),
    *("Sat, 01 Jan 0000 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "22 Nov 99999999999999"),
    *("Sat, 01 Jan 0001 00:00:00 +2359", "Sun, 22 Nov 2026", "Sun,,,, 22", "8:0:0:0 1 1 1 1 1"),
    *("Sun, 22 Nov 2026 08:00:00 " + "(" * 3_000, "\u00a0", "60, 60", "-" * 500, "22-Nov-2026 8.0"),
)
STAMPS = NEAR | st.sampled_from(ODD) | st.text(max_size=30)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "retry-after": STAMPS,
        "date": STAMPS,
        "x-ratelimit-reset": STAMPS,
        "ratelimit-reset": STAMPS,
        "x-ratelimit-remaining": STAMPS,
    },
)
WORDS = (
    "month",
    "per day",
    "quota",
    "daily",
    "rate limit",
    "token",
    "Invalid API Key|abc",
    "24 hour",
    "5 requests per second",
    "1 MINUTE",
    "batch",
)
ODD_TEXTS = (*WORDS, "", "IP banned until 1795334400000", "banned until " + "9" * 40)
NAMES = st.sampled_from(
    "status code error error_code info message msg result id data metadata".split()
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.sampled_from([0, "0", "1", 429, -1003, 10002, "10005", 1011, -32005, *ODD_TEXTS])
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
BODIES = VALUES.map(orjson.dumps) | st.binary(max_size=60)
SUCCESSES = range(200, 300)


def decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


@budget(200)
@given(status=st.integers(100, 599), headers=HEADERS, body=BODIES)
def test_an_answer_is_a_success_or_a_sound_error_of_ours(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    for vendor, adapter in ADAPTERS.items():
        with told_of(vendor):
            refusal = refusal_in(adapter, status, headers, decoded(body), body, EPOCH)
            assert_sound(refusal, status)


def assert_sound(refusal: ProviderError | None, status: int) -> None:
    if refusal is None:
        assert status in SUCCESSES
        return
    assert isinstance(refusal, ProviderError)
    assert refusal.http_status == status
    assert str(refusal).startswith(f"HTTP {status}")
    assert len(str(refusal)) < 60
    wait_s = refusal.retry_after_s
    assert wait_s is None or (0 < wait_s <= LONGEST_RETRY_AFTER_S and math.isfinite(wait_s))


@budget(200)
@given(status=st.sampled_from([200, 403, 418, 429]), body=BODIES)
def test_only_a_vendors_code_says_for_how_long_a_quota_is_spent(status: int, body: bytes) -> None:
    for vendor, adapter in ADAPTERS.items():
        with told_of(vendor):
            refusal = refusal_in(adapter, status, {}, decoded(body), body, EPOCH)
            if isinstance(refusal, QuotaSpent) and refusal.retry_after_s is not None:
                code = adapter.error_code(decoded(body))
                assert adapter.quota_reset_s(code, EPOCH_MS) is not None


@budget(200)
@given(body=BODIES)
def test_no_text_lengthens_a_stated_wait(body: bytes) -> None:
    for vendor, adapter in ADAPTERS.items():
        with told_of(vendor):
            refusal = refusal_in(adapter, 429, {"retry-after": "7"}, decoded(body), body, EPOCH)
            assert refusal is not None
            assert refusal.retry_after_s == 7.0
            if isinstance(refusal, QuotaSpent):
                code = adapter.error_code(decoded(body))
                known = (adapter.errors.get((429, code)), adapter.errors.get((None, code)))
                assert QuotaSpent in known


@budget(200)
@given(status=st.integers(300, 599), body=BODIES)
def test_no_text_makes_a_success_of_another_status(status: int, body: bytes) -> None:
    for vendor, adapter in ADAPTERS.items():
        with told_of(vendor):
            assert refusal_in(adapter, status, {}, decoded(body), body, EPOCH) is not None
