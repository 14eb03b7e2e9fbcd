"""What `/openapi.json` promises is what comes: every status, media type and field, no other.

Schemathesis makes requests of the document, right ones and wrong ones. `/api/stream` is endless:
it is asked with HEAD, and with GET only where that is an error.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import httpx
import pytest
import requests
from hypothesis import assume, given
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case
from schemathesis.specs.openapi.checks import negative_data_rejection

from api.edge.problems import STATUS
from tests.api.openapi_document import own_paths
from tests.fuzz.budget import budget
from tests.fuzz.gateway import BASE_URL, Gateway, running
from tests.fuzz.promises import (
    DATA,
    EXACT,
    OPERATIONS,
    RIGHT,
    STREAM,
    assert_documented,
    assert_problem,
    assert_problem_or_success,
    schema_of,
)

#: httpx makes none that is longer.
LONGEST_URL = 60_000
WITH_PARAMETERS = [path for path, known in OPERATIONS.items() if known or path == "/api/sentiment"]
each_path = pytest.mark.parametrize("path", OPERATIONS)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    kept = {"CACHE_TTL_OHLC": "600", "CACHE_TTL_GAS": "600", "CACHE_TTL_MARKET": "600"}
    with running(tmp_path_factory.mktemp("gateway"), **kept) as started:
        yield started


@pytest.fixture(scope="module")
def schema(gateway: Gateway) -> Any:
    return schema_of(gateway)


def sent(case: Case[Any], gateway: Gateway, method: str = "GET") -> httpx.Response:
    told = requests.Request(**case.as_transport_kwargs(base_url=BASE_URL)).prepare()
    assume(len(str(told.url)) < LONGEST_URL)
    headers = {name: str(text) for name, text in told.headers.items()}
    return gateway.ask(httpx.Request(method, str(told.url), headers=headers))


def validated(case: Case[Any], gateway: Gateway, *checks: Any) -> httpx.Response:
    """The answer, which is as documented. Of the stream, errors only."""
    is_endless = case.operation.path == STREAM
    head = sent(case, gateway, "HEAD")
    if is_endless and head.status_code == 200:
        assert head.headers["content-type"].startswith("text/event-stream")
        return head
    answer = sent(case, gateway)
    assert (head.status_code, head.content) == (answer.status_code, b"")
    case.validate_response(answer, checks=[*EXACT, *checks])
    assert_problem_or_success(answer)
    return answer


def strategy(
    schema: Any, path: str, mode: GenerationMode, **known: Any
) -> st.SearchStrategy[Case[Any]]:
    found: st.SearchStrategy[Case[Any]] = schema[path]["GET"].as_strategy(mode, **known)
    return found


def test_every_documented_operation_is_tested(gateway: Gateway) -> None:
    paths = own_paths(gateway.document())
    assert {path: list(methods) for path, methods in paths.items()} == {
        path: ["get"] for path in OPERATIONS
    }


@each_path
@budget(8)
@given(data=st.data())
def test_right_questions_are_answered_as_documented(
    gateway: Gateway, schema: Any, path: str, data: st.DataObject
) -> None:
    case = data.draw(strategy(schema, path, GenerationMode.POSITIVE))
    validated(case, gateway)


@pytest.mark.parametrize("path", [path for path, known in OPERATIONS.items() if known])
@budget(8)
@given(data=st.data())
def test_questions_about_what_there_is_are_answered_as_documented(
    gateway: Gateway, schema: Any, path: str, data: st.DataObject
) -> None:
    known = deepcopy(OPERATIONS[path])
    case = data.draw(strategy(schema, path, GenerationMode.POSITIVE, **known))
    validated(case, gateway)


@pytest.mark.parametrize("path", WITH_PARAMETERS)
@budget(15)
@given(data=st.data())
def test_wrong_questions_are_refused_as_documented(
    gateway: Gateway, schema: Any, path: str, data: st.DataObject
) -> None:
    case = data.draw(strategy(schema, path, GenerationMode.NEGATIVE))
    validated(case, gateway, negative_data_rejection)


def extended(path: str, query: str) -> str:
    return RIGHT[path] + ("&" if "?" in RIGHT[path] else "?") + query


@each_path
def test_a_parameter_that_is_unknown_is_refused_as_documented(
    gateway: Gateway, schema: Any, path: str
) -> None:
    answer = gateway.get(extended(path, "a=1&a=2"))
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_parameter")
    assert_documented(schema, path, answer)


def query_parameters(gateway: Gateway, path: str) -> list[str]:
    known = gateway.document()["paths"][path]["get"].get("parameters", ())
    return [parameter["name"] for parameter in known if parameter["in"] == "query"]


@each_path
def test_a_parameter_that_is_given_twice_or_empty_is_refused_as_documented(
    gateway: Gateway, schema: Any, path: str
) -> None:
    for name in query_parameters(gateway, path):
        for query in (f"{name}=1&{name}=1", f"{name}="):
            answer = gateway.get(path.replace("{coin}", "BTC") + f"?{query}")
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
            assert [row["parameter"] for row in answer.json()["errors"]] == [name]
            assert_documented(schema, path, answer)


@each_path
def test_what_is_allowed_is_what_is_documented(gateway: Gateway, path: str) -> None:
    answer = gateway.get(extended(path, "nonsense=1"))
    assert sorted(answer.json()["allowed"]) == sorted(query_parameters(gateway, path))


@each_path
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_another_method_is_refused_by_a_problem_that_names_the_right_ones(
    gateway: Gateway, schema: Any, path: str, method: str
) -> None:
    answer = gateway.request(method, RIGHT[path], content=b"{")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert_problem(schema, answer)


@pytest.mark.parametrize("path", ["/nothing", "/api", "/api/", "/api/nothing", "/%ff", "/a?b"])
def test_another_path_is_refused_by_a_problem(gateway: Gateway, schema: Any, path: str) -> None:
    answer = gateway.get(path)
    assert answer.status_code == 404
    assert_problem(schema, answer)


def test_the_codes_of_problems_are_all_documented(gateway: Gateway) -> None:
    code = gateway.document()["components"]["schemas"]["Problem"]["properties"]["code"]
    assert set(code["enum"]) == set(STATUS)


@pytest.mark.parametrize("path", DATA)
def test_what_has_not_changed_is_answered_as_documented(
    gateway: Gateway, schema: Any, path: str
) -> None:
    etag = gateway.get(RIGHT[path]).headers["etag"]
    answer = gateway.get(RIGHT[path], headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content) == (304, b"")
    assert_documented(schema, path, answer)
