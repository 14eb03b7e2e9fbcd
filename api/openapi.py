"""The OpenAPI document: FastAPI's own, with groups, keys, headers and real examples."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from api.edge.path_policies import Access, PathPolicies
from api.edge.problems import PROBLEM
from api.routes.schemas import FACADE_TAG, Problem
from api.schema_fields import describe_fields

#: Responses of gateways in front of the tests' providers, by path, media type and error code.
#: `python -m tests.api.examples` writes the file.
EXAMPLES = Path(__file__).with_name("examples.json")
#: The stream in short; docs/stream.md describes it in full.
PROTOCOL = Path(__file__).with_name("stream") / "protocol.md"
DESCRIPTION = """Market data, candles, news, sentiment and fees of several providers. An answer is
`{"data": …, "meta": …}`, and `meta` names the provider, the time and the age of the data; nothing
is made up when all providers fail. An error is `application/problem+json` with a `code`, and a
`hint` where one helps."""
CONTACT = {"name": "The operator of this gateway"}
#: One of them is required where GATEWAY_API_KEYS is set; elsewhere the document has neither.
KEY_SCHEMES = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}

#: In the order of the interactive documentation.
TAGS = [
    {"name": "market", "description": "Coins by market-cap rank, in USD."},
    {"name": "candles", "description": "Open, high, low, close and volume, all from one provider."},
    {
        "name": "news",
        "description": "Articles of all providers: merged, tagged, without duplicates.",
    },
    {"name": "sentiment", "description": "Fear & Greed, day by day."},
    {
        "name": "gas",
        "description": "Current fees of transactions on eight chains, in gwei or sat/vB.",
    },
    {"name": "stream", "description": PROTOCOL.read_text(encoding="utf-8")},
    {"name": "operations", "description": "State of the gateway and its providers."},
    {"name": FACADE_TAG, "description": "Protocols that other programs already speak."},
]
#: A description and a value of each response header.
HEADERS = {
    "Age": ("Seconds since the data was fetched from the provider.", "12"),
    "X-Cache": ("`hit`, `miss`, or `stale`: too old, and `meta.stale_reason` says why.", "hit"),
    "Cache-Control": (
        "How long it may be cached, counted from when it was fetched; `private` with gateway keys.",
        "public, max-age=60",
    ),
    "ETag": ("Identifies body and coding. Sent back in If-None-Match it gives 304.", '"5f1c-br"'),
    "X-Request-Id": (
        "The client's own, or a new one. The server log names it for internal errors.",
        "3d2deb723e4b4628",
    ),
    "RateLimit": (
        "Units left to the client, and the seconds until there are more.",
        '"client";r=599;t=60',
    ),
    "RateLimit-Policy": (
        "Units per window, in seconds; a request costs one unit.",
        '"client";q=600;w=60',
    ),
    "Retry-After": ("Seconds after which to try again, where that is known.", "28"),
    "WWW-Authenticate": ("How to send a key; `X-API-Key` works too.", "Bearer"),
    "Location": ("The same path without the slash at its end, relative to this one.", "../bitcoin"),
    "Vary": (
        "Request headers that the response depends on; with gateway keys also theirs.",
        "Accept-Encoding, Origin",
    ),
    "Content-Encoding": (
        "`zstd`, `br` or `gzip`, if the client accepts it and the body is long enough.",
        "br",
    ),
    "Connection": ("The server closes the connection, and reads nothing further.", "close"),
    "X-Accel-Buffering": ("Tells proxies to pass each event on at once.", "no"),
}
#: Headers of data routes, by status.
DATA_HEADERS = {
    "200": ("Age", "X-Cache", "Cache-Control", "ETag", "Vary", "Content-Encoding"),
    "304": ("Age", "X-Cache", "Cache-Control", "ETag", "Vary"),
}
#: Of the facades, whose answers have no `meta`: as DATA_HEADERS, and what `meta` says elsewhere.
FACADE_HEADERS = {
    "X-Source": ("The providers of the data.", "coingecko_free"),
    "X-Cache": ("`hit`, `miss`, or `stale`: too old, and `X-Stale-Reason` says why.", "hit"),
    "X-Stale-Reason": ("Why the data is stale; otherwise there is no such header.", "upstream_5xx"),
}
PROVENANCE = ("X-Source", "X-Stale-Reason")
#: Refusals after which the connection is closed.
CLOSING = ("413", "414", "431")
STATUS_HEADERS = {
    "401": ("WWW-Authenticate",),
    "429": ("Retry-After",),
    "503": ("Retry-After",),
    "307": ("Location",),
    **dict.fromkeys(CLOSING, ("Connection",)),
}
LIMIT_HEADERS = ("RateLimit", "RateLimit-Policy")
#: A description and a value of each request header.
REQUEST_HEADERS = {
    "X-Request-Id": (
        "Sent back if it has at most 128 letters, digits and `._:-`; else replaced.",
        "3d2deb723e4b4628",
    ),
    "If-None-Match": ("An `ETag` of an earlier response: 304 while it is current.", '"5f1c-br"'),
}


def operation_id(route: APIRoute) -> str:
    """Of a route that names none, as those of facades: its path in words.

    `/coingecko/api/v3/coins/{id}/ohlc` is `coingecko_coins_id_ohlc`.
    """
    path = re.sub(r"/api/v\d+(?=/)", "", route.path_format).removesuffix(".json")
    return re.sub(r"\W+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", path)).strip("_").lower()


def openapi_document(app: FastAPI, policies: PathPolicies, *, is_locked: bool) -> dict[str, Any]:
    """The document. It is made once: of the settings it depends on FACADES, and on whether the
    gateway is locked by keys."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            contact=app.contact,
            routes=app.routes,
            tags=TAGS,
        )
        schema = TypeAdapter(Problem).json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["schemas"] |= schema.pop("$defs", {})
        document["components"]["schemas"]["Problem"] = schema
        describe_fields(document["components"]["schemas"])
        _add_headers(document, policies)
        _add_facade_headers(document)
        _add_examples(document, orjson.loads(EXAMPLES.read_bytes()))
        # Relative to the document's own URL, so that it is right behind any proxy.
        document["servers"] = [{"url": "./", "description": "this gateway"}]
        if is_locked:
            _add_keys(document, policies)
        app.openapi_schema = document
    return app.openapi_schema


def _add_keys(document: dict[str, Any], policies: PathPolicies) -> None:
    document["components"]["securitySchemes"] = KEY_SCHEMES
    document["security"] = [{name: []} for name in KEY_SCHEMES]
    for path, methods in document["paths"].items():
        if policies.access(path) is not Access.KEY:
            for operation in methods.values():
                operation["security"] = []


def _operations(document: dict[str, Any], *, of_facades: bool) -> Iterator[tuple[str, Any]]:
    """Paths and operations: those of facades, or all others."""
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if (FACADE_TAG in operation.get("tags", ())) is of_facades:
                yield path, operation


def _add_examples(document: dict[str, Any], examples: dict[str, Any]) -> None:
    """The routes of facades bring their own."""
    for path, operation in _operations(document, of_facades=False):
        for parameter in operation.get("parameters", ()):
            if parameter["required"]:  # filled in by Swagger UI, so that "Try it out" works at once
                parameter["example"] = parameter["schema"]["examples"][0]
        responses = operation["responses"]
        answers = dict(examples.get(path, {}))
        for code, problem in answers.pop(PROBLEM, {}).items():
            if (response := responses.get(str(problem["status"]))) is not None:
                named = response["content"][PROBLEM].setdefault("examples", {})
                named[code] = {"value": problem}
        for media, example in answers.items():
            responses["200"]["content"].setdefault(media, {})["example"] = example


def _add_headers(document: dict[str, Any], policies: PathPolicies) -> None:
    for path, operation in _operations(document, of_facades=False):
        responses = operation["responses"]
        is_probe = policies.access(path) is Access.PROBE
        if is_probe:
            for status in ("401", "429", *CLOSING):
                responses.pop(status, None)
        is_data = "304" in responses
        responses["200"]["description"] = (
            "`data`, and its provenance in `meta`" if is_data else "now"
        )
        for status, response in responses.items():
            response["headers"] = _headers(status, response, is_data, is_probe)
        parameters = operation.setdefault("parameters", [])
        for name, (text, example) in REQUEST_HEADERS.items():
            if is_data or name == "X-Request-Id":
                schema = {"type": "string", "examples": [example]}
                header = {"name": name, "in": "header", "required": False, "description": text}
                parameters.append({**header, "schema": schema})


def _add_facade_headers(document: dict[str, Any]) -> None:
    """By references: written out, the headers of some fifty paths were half of the document, and a
    click in Swagger UI took three times as long."""
    described = {name: _header(*text) for name, text in (HEADERS | FACADE_HEADERS).items()}
    document["components"]["headers"] = described
    for _, operation in _operations(document, of_facades=True):
        responses = operation["responses"]
        for status, response in responses.items():
            names = ["X-Request-Id", *STATUS_HEADERS.get(status, ()), *LIMIT_HEADERS]
            if "304" in responses and status in DATA_HEADERS:
                names += [*DATA_HEADERS[status], *PROVENANCE]
            own = response.get("headers", {})  # of which some are only named
            response["headers"] = {
                name: own.get(name) or {"$ref": f"#/components/headers/{name}"}
                for name in (*names, *own)
            }


def _headers(
    status: str, response: dict[str, Any], is_data: bool, is_probe: bool
) -> dict[str, Any]:
    names = ["X-Request-Id"]
    if not is_probe:  # which has no Retry-After: it is unknown when it will be ready
        names += [*STATUS_HEADERS.get(status, ()), *LIMIT_HEADERS]
    names += DATA_HEADERS.get(status, ()) if is_data else ()
    names += ["X-Accel-Buffering"] if "text/event-stream" in response.get("content", {}) else []
    headers = {name: _header(*HEADERS[name]) for name in names}
    if "content" in response and "Age" not in headers:
        headers["Cache-Control"] = _header("Must not be cached.", "no-store")
    return headers


def _header(text: str, example: str) -> dict[str, Any]:
    return {"description": text, "schema": {"type": "string"}, "example": example}
