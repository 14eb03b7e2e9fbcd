"""The facades are no open proxy: whatever is sent, only listed questions reach a provider.

What is allowed is written down here once more, from the vendors' documentation: the test does not
believe the lists of the facades.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, unquote

import pytest

from api.hf_unified_server import FACADES, create_app
from backend.gateway import read_configuration
from tests.api.raw import said, serving_bare, statuses
from tests.world.messages import Request
from tests.world.server import World

#: Part of every attack: no request to a provider has it but as a value of a listed parameter.
MARK = "evil"
#: A segment that clients choose, percent-encoded: `is_harmless` looks into it.
NAME = r"[\w.~%-]+"
COINGECKO = re.compile(
    rf"""/api/v3/(?:
    global | coins/list | exchange_rates | asset_platforms | search | search/trending
    | simple/price | simple/token_price/{NAME} | simple/supported_vs_currencies
    | coins/markets | coins/categories | coins/categories/list | exchanges | exchanges/list
    | exchanges/{NAME}(?:/tickers|/volume_chart)? | token_lists/{NAME}/all\.json
    | coins/{NAME}(?:/(?:market_chart|market_chart/range|ohlc|history|tickers))?
    | coins/{NAME}/contract/{NAME}(?:/market_chart(?:/range)?)?
    )""",
    re.VERBOSE,
)
BINANCE = re.compile(
    r"""/api/v3/(?:
    exchangeInfo | klines | uiKlines | avgPrice | depth | trades | historicalTrades | aggTrades
    | ticker | ticker/24hr | ticker/price | ticker/bookTicker | ticker/tradingDay
    )""",
    re.VERBOSE,
)
PARAMETERS = {
    "coingecko_free": """vs_currency vs_currencies ids names symbols category order per_page page
        sparkline price_change_percentage locale precision include_tokens include_rehypothecated
        include_market_cap include_24hr_vol include_24hr_change include_last_updated_at days
        interval from to date localization tickers market_data community_data developer_data
        include_platform status query contract_addresses exchange_ids include_exchange_logo depth
        dex_pair_format include_exchange_logo""".split(),
    "binance": """symbol symbols interval startTime endTime timeZone limit fromId type windowSize
        permissions showPermissionSets symbolStatus""".split(),
}
PATHS = {"coingecko_free": COINGECKO, "binance": BINANCE}
#: What the gateway itself sends.
HEADERS = {"host", "user-agent", "accept", "accept-encoding", "connection", "content-type"}
HEADERS |= {"content-length"}

#: A question of each dialect, of which attacks are made.
QUESTIONS = {
    "/coingecko/api/v3": (
        "/coins/bitcoin/market_chart?vs_currency=usd&days=1",
        "/coins/bitcoin",
        "/coins/ethereum/contract/0xfar/market_chart?vs_currency=usd&days=1",
        "/simple/price?ids=bitcoin&vs_currencies=eur",
        "/search?query=bit",
        "/global?",
    ),
    "/binance": (
        "/api/v3/klines?symbol=BTCUSDT&interval=1h",
        "/api/v3/avgPrice?symbol=BTCUSDT",
        "/api/v3/ticker/24hr?symbol=BTCUSDT",
    ),
    "/udf": ("/history?symbol=BTC&resolution=60&countback=3", "/symbols?symbol=BTC"),
    "/mcp": ("",),
}
#: In the place of a segment, and behind a path.
DETOURS = (
    "..",
    "../..",
    "../../../key",
    "%2e%2e",
    "%2E%2E/%2e%2e/evil",
    ".%2e/evil",
    "..%2fevil",
    "..%2f..%2f..%2fevil",
    "..%5cevil",
    "..\\evil",
    "%252e%252e%252fevil",
    "%25252e%25252e%25252fevil",
    "evil%2fmarket_chart",
    "evil%252fmarket_chart",
    "%5cevil",
    "..;/evil",
    ";evil=1",
    "..;evil",
    "%3b..%3bevil",
    "%3fevil=1",
    "%23evil",
    "@evil.example",
    "%40evil.example",
    "http://evil.example/",
    "http:%2f%2fevil.example",
    "//evil.example",
    "%00evil",
    "evil%0d%0aHost:%20evil.example",
    "evil%0aX-Evil:1",
    "%c0%ae%c0%ae/evil",
    "%ff%feevil",
    "%e2%80%aeevil",
    "evil" * 200,
    "key",
    "coins/list/new",
    "v3/../../evil",
    "account",
    "order",
    "userDataStream",
)
#: Behind a query string.
EXTRAS = (
    "evil=1",
    "url=http://evil.example",
    "base_url=http://evil.example",
    "path=/evil",
    "host=evil.example",
    "x_cg_pro_api_key=evil",
    "x_cg_demo_api_key=evil",
    "apikey=evil",
    "api_key=evil",
    "signature=evil",
    "callback=evil",
    "%65vil=1",
    "_=evil",
    "evil",
    "=evil",
    "&&=&evil&",
    "ids=bitcoin&ids=evil",
    "symbol=BTCUSDT&symbol=EVIL",
    "days=1&days=evil",
    "days=1%26evil=1",
    "interval=1h%26evil%3d1",
    "vs_currency=usd%0d%0aHost:evil",
    "symbol=BTCUSDT%00evil",
    "symbol=BTCUSDT%23evil",
    "ids=..%2f..%2fevil",
    "symbols=%5b%22BTCUSDT%22,%22EVIL%26x=1%22%5d",
    "ids=" + "evil," * 5_000,
    "&".join(f"evil{number}=1" for number in range(300)),
)
#: Header lines.
LINES = (
    "Host: evil.example",
    "Host: evil.example@127.0.0.1",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-For: evil",
    "X-Original-URL: /evil",
    "X-Rewrite-URL: /evil",
    "X-HTTP-Method-Override: DELETE",
    "Forwarded: host=evil.example",
    "Proxy-Authorization: Basic evil",
    "Proxy-Connection: keep-alive-evil",
    "Cookie: evil=1",
    "User-Agent: evil",
    "Referer: http://evil.example/",
    "X-MBX-APIKEY: evil",
    "X-MBX-TIME-UNIT: MICROSECOND-evil",
    "x-cg-pro-api-key: evil",
    "Accept-Language: evil",
    "Range: bytes=evil",
    "Origin: http://evil.example",
)
#: Attacks at once.
AT_ONCE = 8
METHODS = ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "EVIL")


def request(method: str, target: str, *lines: str, body: bytes = b"") -> bytes:
    own = [] if any(line.startswith("Host:") for line in lines) else ["Host: gateway.test"]
    head = [f"{method} {target} HTTP/1.1", *own, *lines, "Connection: close"]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def detours(path: str) -> Iterator[str]:
    """In the place of each segment below the prefix, behind it, and behind the path."""
    bare, _, query = path.partition("?")
    segments = bare.split("/")
    for detour in DETOURS:
        yield f"{bare}/{detour}?{query}"
        yield f"{bare}{detour}?{query}"
        for place in range(1, len(segments)):
            yield "/".join([*segments[:place], detour, *segments[place + 1 :]]) + f"?{query}"


def attacks(prefix: str, question: str) -> Iterator[bytes]:
    whole = prefix + question
    joint = "&" if "?" in whole else "?"
    for detour in detours(question):
        yield request("GET", prefix + detour)
    for extra in EXTRAS:
        yield request("GET", f"{whole}{joint}{extra}")
    for line in LINES:
        yield request("GET", whole, line)
    for method in METHODS:
        yield request(method, f"{whole}{joint}evil=1", body=b'{"evil":1}')
    for form in (
        f"http://evil.example{whole}",
        f"https://evil.example:443{whole}",
        f"http://evil@127.0.0.1{whole}",
        "http://evil.example/",
        f"//evil.example{whole}",
        f"///evil.example{whole}",
        f"{prefix}/http://evil.example/",
        f"{prefix}/https:/evil.example/",
        f"{prefix}@evil.example/",
        f"{prefix}.evil.example/",
        f"{prefix}/../evil",
        f"{prefix}//evil",
        f"{prefix}/?{question.partition('?')[2]}&evil=1",
        f"{prefix.upper()}{question}{joint}evil=1",
    ):
        yield request("GET", form)
    yield request("CONNECT", "evil.example:443")
    yield request("GET", "*")
    yield request("OPTIONS", "*")
    yield request("GET", whole, "Host: a", "Host: evil.example")
    yield f"GET {whole} HTTP/1.0\r\n\r\n".encode()


def offences(calls: Iterable[tuple[str, Request]]) -> list[str]:
    """Calls of providers that no listed question makes."""
    return [f"{name}: {sent.target} {sent.headers}" for name, sent in calls if is_bad(name, sent)]


def is_bad(name: str, sent: Request) -> bool:
    if not set(sent.headers) <= HEADERS | {"if-none-match", "if-modified-since"}:
        return True
    if not re.fullmatch(r"127\.0\.0\.1:\d+", sent.headers["host"]):
        return True
    if name not in PATHS:  # no client chooses anything of the others
        return MARK in unquote(sent.target + str(sent.headers) + sent.body.decode()).lower()
    path, _, query = sent.target.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    names = [one for one, _ in pairs]
    is_listed = PATHS[name].fullmatch(path) and set(names) <= set(PARAMETERS[name])
    if not is_listed or len(set(names)) < len(names) or MARK in str(sent.headers).lower():
        return True
    return not all(is_harmless(unquote(segment)) for segment in path.split("/")[1:])


def is_harmless(segment: str) -> bool:
    """Whether it is one segment for a server that decodes it twice, or drops what is behind `;`."""
    is_here = segment.partition(";")[0] in ("", ".", "..")
    return not is_here and segment.isprintable() and not set(segment) & set("/\\%")


@asynccontextmanager
async def listening(world: World, surroundings: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of a gateway without limits of its own, behind a real server."""
    limits = {"COINGECKO_FREE_LIMITS": "100000/minute", "BINANCE_LIMITS": "1000000/minute"}
    world.limits |= {"coingecko_free": (100_000, 60.0), "binance": (1_000_000, 60.0)}
    for name, value in world.environment(**limits).items():
        surroundings.setenv(name, value)
    async with serving_bare(create_app(read_configuration()), lifespan="on") as (port, _):
        yield port


def cases() -> list[tuple[str, str]]:
    return [(prefix, question) for prefix, some in QUESTIONS.items() for question in some]


@pytest.mark.parametrize(("prefix", "question"), cases(), ids=lambda text: text)
async def test_only_listed_questions_reach_a_provider(
    world: World, surroundings: pytest.MonkeyPatch, prefix: str, question: str
) -> None:
    few = asyncio.Semaphore(AT_ONCE)

    async def attacked(attack: bytes) -> list[int]:
        async with few:
            told, is_closed = await said(port, attack, within_s=10.0)
        assert is_closed, attack[:200]
        return statuses(told)

    async with listening(world, surroundings) as port:
        told = await asyncio.gather(*map(attacked, attacks(prefix, question)))
    answered = [status for one in told for status in one]
    assert len(answered) > 100
    assert not {500, 502} & set(answered)
    assert offences(world.requests) == []


def test_each_facade_is_attacked() -> None:
    prefixes = {
        router.prefix for routers in FACADES.values() for router in routers if router.prefix
    }
    assert prefixes == set(QUESTIONS)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("coingecko_free", "/api/v3/key"),
        ("coingecko_free", "/api/v3/coins/.."),
        ("coingecko_free", "/api/v3/coins/../key"),
        ("coingecko_free", "/api/v3/coins/%2e%2e/key"),
        ("coingecko_free", "/api/v3/coins/%252e%252e%252fkey"),
        ("coingecko_free", "/api/v3/coins/..%3Bb/tickers"),
        ("coingecko_free", "/api/v3/coins/a;b/tickers"),
        ("coingecko_free", "/api/v3/coins/a%0Ab"),
        ("coingecko_free", "/api/v3/global?evil=1"),
        ("coingecko_free", "/api/v3/simple/price?ids=a&ids=b"),
        ("coingecko_free", "http://evil.example/"),
        ("binance", "/api/v3/account"),
        ("binance", "/sapi/v1/evil"),
        ("binance", "/api/v3/klines?symbol=A&signature=1"),
        ("alternative_me", "/fng/?limit=1&evil=1"),
    ],
)
def test_the_check_would_find_an_open_proxy(name: str, target: str) -> None:
    headers = {"host": "127.0.0.1:1"}
    assert offences([(name, Request("", {}, headers, target=target))])
    honest = {"coingecko_free": "/api/v3/global", "binance": "/api/v3/klines?symbol=A"}
    good = Request("", {}, headers, target=honest.get(name, "/fng/?limit=1"))
    assert offences([(name, good)]) == []
    good.headers["cookie"] = "a=b"
    assert offences([(name, good)])
