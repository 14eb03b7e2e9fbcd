"""The operations of `/openapi.json`, and whether an answer is as it promises."""

from copy import deepcopy
from typing import Any

import httpx
import jsonschema_rs
import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.edge.problems import PROBLEM, STATUS
from tests.fuzz.gateway import Gateway

STREAM = "/api/stream"
#: Path, and parameters that are known to be right: few random texts are a coin's.
OPERATIONS: dict[str, dict[str, Any]] = {
    "/api/market": {"query": {"symbols": "BTC,ethereum"}},
    "/api/market/{coin}": {"path_parameters": {"coin": "bitcoin"}},
    "/api/market/ohlc": {"query": {"symbol": "BTC"}},
    "/api/search": {"query": {"q": "bit"}},
    "/api/global": {"query": {"currency": "EUR"}},
    "/api/news": {"query": {"symbols": "BTC"}},
    "/api/sentiment": {},
    "/api/gas": {},
    "/api/status": {},
    "/api/status/explain": {"query": {"category": "ohlc"}},
    "/metrics": {},
    "/healthz": {},
    "/readyz": {},
    STREAM: {"query": {"channels": "gas"}},
}
RIGHT = {path: path.replace("{coin}", "BTC") for path in OPERATIONS}
RIGHT["/api/market/ohlc"] += "?symbol=BTC"
RIGHT["/api/search"] += "?q=bit"
EXACT = [status_code_conformance, content_type_conformance, response_schema_conformance]
#: Those that answer with data from a provider.
DATA = [path for path in OPERATIONS if path.startswith("/api/") and "/st" not in path]


def schema_of(gateway: Gateway) -> Any:
    return schemathesis.openapi.from_dict(closed(gateway.document()))


def closed(document: Any) -> Any:
    """The document as it is meant: objects have the properties that are named, and no others."""
    document = deepcopy(document)
    for part in document["components"]["schemas"].values():
        if "properties" in part:
            part.setdefault("additionalProperties", False)
    return document


def assert_documented(schema: Any, path: str, answer: httpx.Response) -> None:
    """The answer to a request that was not made of the document."""
    known = OPERATIONS[path]
    case = schema[path]["GET"].Case(
        path_parameters=known.get("path_parameters", {}), query=known.get("query", {})
    )
    case.validate_response(answer, checks=EXACT)
    assert_problem_or_success(answer)


def assert_problem_or_success(answer: httpx.Response) -> None:
    if answer.status_code < 400:
        return
    assert answer.headers["content-type"] == PROBLEM
    told = answer.json()
    assert told["status"] == answer.status_code == STATUS[told["code"]]
    assert told["code"] != "internal_error"


def assert_problem(schema: Any, answer: httpx.Response) -> None:
    """By the schema of problems as it is documented, for what belongs to no operation."""
    problem = {"$ref": "#/components/schemas/Problem"}
    whole = problem | {"components": schema.raw_schema["components"]}
    jsonschema_rs.validator_for(whole).validate(answer.json())
    assert_problem_or_success(answer)
