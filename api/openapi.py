"""The OpenAPI document: what FastAPI knows, with groups, keys, headers and real examples."""

from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from api.doors import ALWAYS_OPEN
from api.problems import PROBLEM, STATUS, TITLES
from api.schemas import Problem

#: Answers of a gateway in front of the tests' providers; `python -m tests.api.examples` writes it.
EXAMPLES = Path(__file__).with_name("examples.json")
#: The stream in short; docs/stream.md has all of it.
PROTOCOL = Path(__file__).with_name("stream") / "protocol.md"
#: Where GATEWAY_API_KEYS are set, either is taken; else neither is asked for.
KEY_SCHEMES = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}

#: Where this document is, whatever stands in front of it.
SERVERS = [{"url": "./", "description": "this gateway"}]

#: In this order the interactive documentation shows them.
TAGS = [
    {"name": "market", "description": "Coins by market-cap rank, in USD."},
    {"name": "candles", "description": "Open, high, low, close and volume; one provider's."},
    {"name": "news", "description": "Articles of all providers, merged, tagged, each story once."},
    {"name": "sentiment", "description": "Fear & Greed, day by day."},
    {"name": "gas", "description": "What a transaction on Ethereum costs now, in gwei."},
    {"name": "stream", "description": PROTOCOL.read_text(encoding="utf-8")},
    {"name": "operations", "description": "What the gateway and its providers are doing."},
]
#: What each header tells, and a value of it.
HEADERS = {
    "Age": ("Seconds since the provider was asked.", "12"),
    "X-Cache": ("`hit`, `miss`, or `stale`: older than it should be, and says why.", "hit"),
    "Cache-Control": ("For how long it may be kept, counted from when it was new.", "max-age=60"),
    "ETag": ("Names body and coding; sent back in If-None-Match it gives a 304.", '"5f1c-br"'),
    "X-Request-Id": (
        "The client's own, or a new one; of a failure of ours the log has it.",
        "3d2deb723e4b4628",
    ),
    "RateLimit": ("What the client has left, and for how many seconds.", '"client";r=599;t=60'),
    "RateLimit-Policy": ("How many requests in how many seconds.", '"client";q=600;w=60'),
    "Retry-After": ("Seconds after which it may be otherwise, where that is known.", "28"),
    "WWW-Authenticate": ("How a key may be sent; `X-API-Key` does, too.", "Bearer"),
    "Location": ("The path without the slash.", "/api/market/bitcoin"),
}
#: Of answers with data, by the status.
DATA_HEADERS = ("Age", "X-Cache", "Cache-Control", "ETag")
STATUS_HEADERS = {
    "401": ("WWW-Authenticate",),
    "429": ("Retry-After",),
    "503": ("Retry-After",),
    "504": ("Retry-After",),
    "307": ("Location",),
}
#: Refused at the door, before anything else.
UNREAD = ("413", "414", "431")
#: Codes that come with more than the members of every problem.
MORE: dict[str, dict[str, Any]] = {
    "unknown_symbol": {"suggestions": ["bitcoin", "bitcoin-cash"]},
    "invalid_parameter": {
        "errors": [{"parameter": "limit", "detail": "too large", "allowed": ["1 to 250"]}]
    },
    "rate_limited": {"retry_after_seconds": 12},
    "all_providers_failed": {
        "retry_after_seconds": 28,
        "hint": "/api/status shows each provider's state",
    },
}
#: Who is asked first where nobody has a key.
FIRST = {
    "/api/market": "coingecko_free",
    "/api/market/{coin}": "coingecko_free",
    "/api/market/ohlc": "binance",
    "/api/news": "rss_coindesk",
    "/api/sentiment": "alternative_me",
    "/api/gas": "ethereum_rpc",
}


def described(app: FastAPI) -> dict[str, Any]:
    """Made once; nothing in it depends on settings."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            routes=app.routes,
            tags=TAGS,
        )
        _add_problem(document)
        _add_headers(document)
        _add_examples(document, orjson.loads(EXAMPLES.read_bytes()))
        document["servers"] = SERVERS
        document["components"]["securitySchemes"] = KEY_SCHEMES
        document["security"] = [{}, *({name: []} for name in KEY_SCHEMES)]
        app.openapi_schema = document
    return app.openapi_schema


def _add_problem(document: dict[str, Any]) -> None:
    """The one schema that every error answer shares."""
    schemas = document["components"]["schemas"]
    schema = TypeAdapter(Problem).json_schema(ref_template="#/components/schemas/{model}")
    schemas |= schema.pop("$defs", {})
    schemas["Problem"] = schema


def _add_examples(document: dict[str, Any], examples: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for parameter in methods["get"].get("parameters", ()):
            if parameter["required"]:  # Swagger UI fills it in: "Try it out" works at once
                parameter["example"] = parameter["schema"]["examples"][0]
        responses = methods["get"]["responses"]
        for media, example in examples.get(path, {}).items():
            responses["200"]["content"].setdefault(media, {})["example"] = example
        for status, response in responses.items():
            if PROBLEM in response.get("content", {}):
                codes = [code for code in STATUS if f"`{code}`" in response["description"]]
                shown = {code: {"value": _problem(code, path)} for code in codes}
                assert shown, f"{path} has a {status} that tells no code"
                response["content"][PROBLEM]["examples"] = shown


def _add_headers(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        responses = methods["get"]["responses"]
        if path in ALWAYS_OPEN:
            for status in ("401", "429", *UNREAD):
                responses.pop(status, None)
        is_data = "304" in responses
        responses["200"]["description"] = "`data`, and in `meta` how it came" if is_data else "now"
        for status, response in responses.items():
            names = ["X-Request-Id", *STATUS_HEADERS.get(status, ())]
            if path not in ALWAYS_OPEN and status not in UNREAD:
                names += ["RateLimit", "RateLimit-Policy"]
            if is_data and status in ("200", "304"):
                names += DATA_HEADERS
            response["headers"] = {name: _header(*HEADERS[name]) for name in names}


def _header(text: str, example: str) -> dict[str, Any]:
    return {"description": text, "schema": {"type": "string"}, "example": example}


def _problem(code: str, path: str) -> dict[str, Any]:
    told = {
        "type": f"urn:problem-type:{code}",
        "title": TITLES[code],
        "status": STATUS[code],
        "detail": TITLES[code].lower(),
        "instance": path.replace("{coin}", "bitcoin"),
        "code": code,
        "request_id": "3d2deb723e4b4628b4a36011f0f1243d",
        **MORE.get(code, {}),
    }
    if code == "all_providers_failed" and path in FIRST:
        refusal = {"reason": "timeout", "retry_at": "2026-11-22T08:30:00.000Z", "detail": None}
        told["providers"] = [{"provider": FIRST[path], **refusal}]
    return told
