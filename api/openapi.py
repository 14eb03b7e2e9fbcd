"""The OpenAPI document: what FastAPI knows, with groups, keys, headers and real examples."""

from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from api.edge.path_policies import Access, PathPolicies
from api.edge.problems import PROBLEM
from api.routes.schemas import Problem

#: By path, media type and code what gateways answer in front of the tests' providers;
#: `python -m tests.api.examples` writes it.
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
    "Cache-Control": (
        "For how long it may be kept, counted from when it was new; `private` where keys are set.",
        "public, max-age=60",
    ),
    "ETag": ("Names body and coding; sent back in If-None-Match it gives a 304.", '"5f1c-br"'),
    "X-Request-Id": (
        "The client's own, or a new one; of a failure of ours the log has it.",
        "3d2deb723e4b4628",
    ),
    "RateLimit": ("What the client has left, and for how many seconds.", '"client";r=599;t=60'),
    "RateLimit-Policy": ("How many requests in how many seconds.", '"client";q=600;w=60'),
    "Retry-After": ("Seconds after which it may be otherwise, where that is known.", "28"),
    "WWW-Authenticate": ("How a key may be sent; `X-API-Key` does, too.", "Bearer"),
    "Location": ("The same path without a slash behind it, relative to this one.", "../bitcoin"),
    "Vary": (
        "The answer depends on these headers of the request; where keys are set, on theirs, too.",
        "Accept-Encoding, Origin",
    ),
    "Content-Encoding": ("`zstd`, `br` or `gzip`, if taken and the body is long enough.", "br"),
    "Connection": ("What else was sent is not read.", "close"),
    "X-Accel-Buffering": ("A proxy is to pass each event on at once.", "no"),
}
NO_STORE = ("It is not to be kept.", "no-store")
#: Of answers with data, by the status.
DATA_HEADERS = {
    "200": ("Age", "X-Cache", "Cache-Control", "ETag", "Vary", "Content-Encoding"),
    "304": ("Age", "X-Cache", "Cache-Control", "ETag", "Vary"),
}
#: Refused at the door, before anything else.
UNREAD = ("413", "414", "431")
STATUS_HEADERS = {
    "401": ("WWW-Authenticate",),
    "429": ("Retry-After",),
    "503": ("Retry-After",),
    "307": ("Location",),
    **dict.fromkeys(UNREAD, ("Connection",)),
}
STREAM = "text/event-stream"
#: Headers of a request: what each does, and a value of it.
ASKED = {
    "X-Request-Id": (
        "Comes back: up to 128 letters, digits and `._:-`; for anything else a new one.",
        "3d2deb723e4b4628",
    ),
    "If-None-Match": ("An `ETag` that one has: 304 while that is the answer.", '"5f1c-br"'),
}


def described(app: FastAPI, policies: PathPolicies) -> dict[str, Any]:
    """The document. It is made once: nothing in it depends on settings."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            routes=app.routes,
            tags=TAGS,
        )
        _add_problem(document)
        _add_headers(document, policies)
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
        answers = dict(examples.get(path, {}))
        _add_problems(responses, answers.pop(PROBLEM, {}))
        for media, example in answers.items():
            responses["200"]["content"].setdefault(media, {})["example"] = example


def _add_problems(responses: dict[str, Any], problems: dict[str, Any]) -> None:
    """Each where its status is."""
    for status, response in responses.items():
        told = {code: one for code, one in problems.items() if str(one["status"]) == status}
        if told:
            shown = {code: {"value": problem} for code, problem in told.items()}
            response["content"][PROBLEM]["examples"] = shown


def _add_headers(document: dict[str, Any], policies: PathPolicies) -> None:
    for path, methods in document["paths"].items():
        responses = methods["get"]["responses"]
        is_probe = policies.access(path) is Access.PROBE
        if is_probe:
            for status in ("401", "429", *UNREAD):
                responses.pop(status, None)
        is_data = "304" in responses
        responses["200"]["description"] = "`data`, and in `meta` how it came" if is_data else "now"
        for status, response in responses.items():
            response["headers"] = _headers(status, response, is_data, is_probe)
        parameters = methods["get"].setdefault("parameters", [])
        parameters += [_asked(name) for name in ASKED if is_data or name == "X-Request-Id"]


def _headers(
    status: str, response: dict[str, Any], is_data: bool, is_probe: bool
) -> dict[str, Any]:
    names = ["X-Request-Id", *STATUS_HEADERS.get(status, ())]
    if is_probe:
        names = ["X-Request-Id"]  # nobody knows when it will be ready
    else:
        names += ["RateLimit", "RateLimit-Policy"]
    names += DATA_HEADERS.get(status, ()) if is_data else ()
    names += ["X-Accel-Buffering"] if STREAM in response.get("content", {}) else []
    headers = {name: _header(*HEADERS[name]) for name in names}
    if "content" in response and "Age" not in headers:
        headers["Cache-Control"] = _header(*NO_STORE)
    return headers


def _asked(name: str) -> dict[str, Any]:
    text, example = ASKED[name]
    schema = {"type": "string", "examples": [example]}
    return {"name": name, "in": "header", "required": False, "description": text, "schema": schema}


def _header(text: str, example: str) -> dict[str, Any]:
    return {"description": text, "schema": {"type": "string"}, "example": example}
