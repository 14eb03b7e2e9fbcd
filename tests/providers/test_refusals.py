"""What a refusal means: the vendor's own fields first, then its words, which are only a guess."""

from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest

from backend.errors import ProviderError, QuotaSpent, RateLimited
from backend.providers.adapter import Adapter
from backend.providers.refusals import refusal_in
from backend.providers.vendors import (
    alternative_me,
    binance,
    coingecko,
    coinmarketcap,
    cryptopanic,
    etherscan,
    evm_rpc,
    newsapi,
    rss,
)
from tests.clocks import EPOCH, EPOCH_MS

Told = tuple[type[ProviderError], float | None]
MIDNIGHT_S = 16 * 3_600.0
#: Any vendor whose answer has no code of its own.
PLAIN = alternative_me.ADAPTER


def refused(
    adapter: Adapter, status: int, body: Any, headers: dict[str, str] | None = None
) -> Told:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    try:
        payload = orjson.loads(content)
    except orjson.JSONDecodeError:
        payload = None
    error = refusal_in(adapter, status, headers or {}, payload, content, EPOCH)
    assert error is not None
    return type(error), error.retry_after_s


def gecko(text: str) -> dict[str, Any]:
    return {"status": {"error_code": 429, "error_message": text}}


def panic(info: str) -> dict[str, Any]:
    return {"status": "api_error", "info": info}


def scan(result: str) -> dict[str, Any]:
    return {"status": "0", "message": "NOTOK", "result": result}


def news(message: str, code: str = "rateLimited") -> dict[str, Any]:
    return {"status": "error", "code": code, "message": message}


NODE = evm_rpc.provider("ethereum").adapter


def node(code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}


def cmc(code: int, message: str) -> dict[str, Any]:
    return {"status": {"error_code": code, "error_message": message}}


GECKO_429 = (
    "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing to "
    "subscribe to our API plans for higher rate limits."
)
BINANCE_429 = (
    "Way too much request weight used; current limit is 6000 request weight per 1 MINUTE. Please "
    "use WebSocket Streams for live updates to avoid polling the API."
)
NEWSAPI_429 = (
    "You have made too many requests recently. Developer accounts are limited to 100 requests "
    "over a 24 hour period (50 requests available every 12 hours)."
)
PANIC_QUOTA = "API monthly quota exceeded - Upgrade your API plan: /developers/api/plans/"
PAGE = b"<html><h1>429</h1>Try again next month, or any day: the quota of this page is 5</html>"

BY_VENDOR: list[tuple[Adapter, int, Any, Told]] = [
    (coingecko.ADAPTER, 429, gecko(GECKO_429), (RateLimited, None)),
    (coingecko.ADAPTER, 429, gecko("Your monthly credits are used up"), (QuotaSpent, None)),
    (coingecko.ADAPTER, 429, gecko("The quota is 30 calls per minute"), (RateLimited, None)),
    (binance.ADAPTER, 429, {"code": -1003, "msg": BINANCE_429}, (RateLimited, None)),
    (binance.ADAPTER, 418, {"code": -1003, "msg": BINANCE_429}, (RateLimited, None)),
    (binance.ADAPTER, 429, {"code": -1003, "msg": "a day's quota"}, (RateLimited, None)),
    (cryptopanic.ADAPTER, 403, panic(PANIC_QUOTA), (QuotaSpent, None)),
    (cryptopanic.ADAPTER, 429, panic(PANIC_QUOTA), (QuotaSpent, None)),
    (cryptopanic.ADAPTER, 200, panic("API weekly limit reached"), (QuotaSpent, None)),
    (
        cryptopanic.ADAPTER,
        429,
        panic("rate quota of 5 requests per second exceeded"),
        (RateLimited, None),
    ),
    (cryptopanic.ADAPTER, 403, panic("Quota: 2 req/s"), (RateLimited, None)),
    (cryptopanic.ADAPTER, 403, panic("Rate limit reached"), (RateLimited, None)),
    (newsapi.ADAPTER, 429, news(NEWSAPI_429), (QuotaSpent, None)),
    (newsapi.ADAPTER, 429, news("Too many a day? No: too fast."), (RateLimited, None)),
    (newsapi.ADAPTER, 429, news("The month's", "apiKeyExhausted"), (QuotaSpent, None)),
    (
        etherscan.ADAPTER,
        200,
        scan("Max calls per sec rate limit reached (3/sec)"),
        (RateLimited, None),
    ),
    (
        etherscan.ADAPTER,
        200,
        scan("Max calls per sec rate limit reached (3/sec), see your 100000 day/limit"),
        (RateLimited, None),
    ),
    (
        etherscan.ADAPTER,
        200,
        scan("Max daily rate limit reached. 100000 (100%) of 100000 day/limit"),
        (QuotaSpent, MIDNIGHT_S),
    ),
    (coinmarketcap.ADAPTER, 429, cmc(1011, "your IP's daily quota"), (RateLimited, None)),
    (NODE, 200, node(-32005, "daily request count exceeded"), (QuotaSpent, None)),
    (NODE, 200, node(-32005, "limit exceeded"), (RateLimited, None)),
    (NODE, 429, node(-32000, "over your day's quota"), (RateLimited, None)),
    (rss.ADAPTER, 429, PAGE, (RateLimited, None)),
    (PLAIN, 429, b"Daily limit reached", (QuotaSpent, None)),
    (PLAIN, 429, b"60 requests per minute, and be nice to us every day", (RateLimited, None)),
]


@pytest.mark.parametrize(
    ("adapter", "status", "body", "told"), BY_VENDOR, ids=lambda value: repr(value)[:60]
)
def test_a_limit_of_seconds_stays_a_rate_limit_and_only_a_vendors_code_gives_the_reset_of_a_quota(
    adapter: Adapter, status: int, body: Any, told: Told
) -> None:
    assert refused(adapter, status, body) == told


WORDS = ["per day", "monthly", "quota", "Daily limit of 100/day reached, your quota is spent"]


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("adapter", [coingecko.ADAPTER, PLAIN, rss.ADAPTER, binance.ADAPTER])
def test_retry_after_comes_before_the_words_of_the_body(adapter: Adapter, words: str) -> None:
    told = refused(adapter, 429, gecko(words), {"retry-after": "53"})
    assert told == (RateLimited, 53.0)


@pytest.mark.parametrize("words", WORDS)
def test_words_do_not_turn_an_outage_into_a_spent_quota(words: str) -> None:
    error = refusal_in(PLAIN, 503, {}, None, words.encode(), EPOCH)
    assert error is not None
    assert error.reason == "upstream_5xx"


def test_a_vendors_code_for_a_spent_quota_is_kept_with_its_retry_after() -> None:
    headers = {"retry-after": "600"}
    assert refused(cryptopanic.ADAPTER, 429, panic(PANIC_QUOTA), headers) == (QuotaSpent, 600.0)
    daily = scan("Max daily rate limit reached")
    assert refused(etherscan.ADAPTER, 200, daily, headers) == (QuotaSpent, 600.0)


IN_90_S = format_datetime(EPOCH + timedelta(seconds=90), usegmt=True)
AGO = format_datetime(EPOCH - timedelta(hours=1), usegmt=True)
RETRY_AFTERS: list[tuple[str, float | None]] = [
    ("  53\t", 53.0),
    ("53, 53", 53.0),
    ("5,120 , 60", 120.0),
    ("5, soon", None),
    (",", None),
    ("-5", None),
    ("5, -5", None),
    ("1e9", None),
    ("1000000000", None),
    ("999999999999999", None),
    ("0, 0", None),
    ("\u0665\u0663", None),  # Arabic digits
    ("5\u0663", None),
    (IN_90_S, 90.0),
    (f" {IN_90_S} ", 90.0),
    (AGO, None),
    ("Sun, 22 Nov 2026 08:01:30 +2400", None),
    ("Sun, 22 Nov 2026 08:01:30 -9999999999999", None),
    ("\x00", None),
]


@pytest.mark.parametrize(("text", "seconds"), RETRY_AFTERS, ids=ascii)
def test_each_form_of_retry_after_is_read_or_ignored(text: str, seconds: float | None) -> None:
    assert refused(PLAIN, 429, {}, {"retry-after": text}) == (RateLimited, seconds)


RESETS: list[tuple[dict[str, str], float | None]] = [
    ({"x-ratelimit-reset": "12"}, 12.0),
    ({"ratelimit-reset": "12"}, 12.0),
    ({"x-ratelimit-reset": str(EPOCH_MS // 1000 + 30)}, 30.0),
    ({"x-ratelimit-reset": str(EPOCH_MS + 1_500)}, 1.5),
    ({"x-ratelimit-reset": str(EPOCH_MS // 1000 - 30)}, None),
    ({"x-ratelimit-reset": "0"}, None),
    ({"x-ratelimit-reset": "-1"}, None),
    ({"x-ratelimit-reset": "soon"}, None),
    ({"x-ratelimit-reset": "9" * 15}, None),
    ({"x-ratelimit-reset": "soon", "ratelimit-reset": "7"}, 7.0),
    ({"x-ratelimit-reset": "12", "x-ratelimit-remaining": "0"}, 12.0),
    ({"x-ratelimit-reset": "12", "x-ratelimit-remaining": "3"}, None),  # another window is spent
    ({"x-ratelimit-reset": "12", "retry-after": "5"}, 5.0),
]


@pytest.mark.parametrize(("headers", "seconds"), RESETS, ids=str)
def test_the_reset_of_a_spent_window_is_the_wait(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert refused(PLAIN, 429, {}, headers) == (RateLimited, seconds)


def test_the_reset_of_a_window_does_not_apply_to_an_outage() -> None:
    error = refusal_in(PLAIN, 503, {"x-ratelimit-reset": "3000"}, {}, b"{}", EPOCH)
    assert error is not None
    assert error.retry_after_s is None
