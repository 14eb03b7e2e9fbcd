"""The messages of clients: results and errors in Binance's words."""

import json
from typing import Any

import pytest

from api.facades.binance.streams.commands import (
    METHODS,
    Command,
    InvalidCommand,
    error_of,
    parse_command,
    result_of,
)

REQUEST, JSON = 2, 3
WRONG_IDS: tuple[Any, ...] = (1.5, True, [], {}, "", "x" * 37, "a b", "\n", 2**63, -(2**64), 10**30)


def refused(text: str | None) -> dict[str, Any]:
    with pytest.raises(InvalidCommand) as caught:
        parse_command(text)
    error: dict[str, Any] = json.loads(error_of(caught.value).text)
    return error


def said(**members: Any) -> str:
    return json.dumps(members)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (said(method="SUBSCRIBE", params=["a@trade"], id=1), Command("SUBSCRIBE", 1, ("a@trade",))),
        (
            said(method="SUBSCRIBE", params=["a", "b", "a"], id=1),
            Command("SUBSCRIBE", 1, ("a", "b")),
        ),
        (said(method="UNSUBSCRIBE", params=[], id=None), Command("UNSUBSCRIBE", None)),
        (said(method="LIST_SUBSCRIPTIONS", id=-5), Command("LIST_SUBSCRIPTIONS", -5)),
        (said(method="LIST_SUBSCRIPTIONS", id="x", params=[]), Command("LIST_SUBSCRIPTIONS", "x")),
        (
            said(method="SET_PROPERTY", params=["combined", True], id=2**63 - 1),
            Command("SET_PROPERTY", 2**63 - 1, is_combined=True),
        ),
        (
            said(
                method="GET_PROPERTY",
                params=["combined"],
                id="9d32157c-a556-4d27-9866-66760a174b57",
            ),
            Command("GET_PROPERTY", "9d32157c-a556-4d27-9866-66760a174b57"),
        ),
        (said(method="LIST_SUBSCRIPTIONS", id=1, other="x"), Command("LIST_SUBSCRIPTIONS", 1)),
    ],
)
def test_commands(text: str, command: Command) -> None:
    assert parse_command(text) == command


@pytest.mark.parametrize("text", [None, "", "{", "nonsense", '{"id":1,}', "[" * 5_000, "\ud800"])
def test_what_is_not_json_has_no_id(text: str | None) -> None:
    error = refused(text)
    assert error.keys() == {"code", "msg"}
    assert error["code"] == JSON
    assert error["msg"].startswith("Invalid JSON: ")


@pytest.mark.parametrize(
    ("text", "id_of", "words"),
    [
        ("null", None, "a command must be an object"),
        ("[]", None, "a command must be an object"),
        ('"SUBSCRIBE"', None, "a command must be an object"),
        ("{}", None, "request ID must be"),
        (said(method="LIST_SUBSCRIPTIONS"), None, "request ID must be"),
        *((said(method="LIST_SUBSCRIPTIONS", id=wrong), None, "request ID") for wrong in WRONG_IDS),
        (said(id=4), 4, "missing field `method`"),
        (said(method="subscribe", id=4), 4, "unknown variant `subscribe`, expected one of"),
        (said(method=["SUBSCRIBE"], id=4), 4, "unknown variant `list`"),
        (said(method=None, id=4), 4, "unknown variant `NoneType`"),
        (said(method="SUBSCRIBE", id="a"), "a", "missing field `params`"),
        (said(method="UNSUBSCRIBE", id=4), 4, "missing field `params`"),
        (said(method="SUBSCRIBE", params="a@trade", id=4), 4, "params must be a list"),
        (said(method="SUBSCRIBE", params=["a@trade", 1], id=4), 4, "params must be a list"),
        (said(method="SUBSCRIBE", params={"a": 1}, id=4), 4, "params must be a list"),
        (said(method="SUBSCRIBE", params=["a"] * 1_025, id=4), 4, "too many parameters"),
        (said(method="LIST_SUBSCRIPTIONS", params=["a"], id=4), 4, "too many parameters"),
        (said(method="SET_PROPERTY", params=["combined", True, 1], id=4), 4, "too many parameters"),
        (said(method="GET_PROPERTY", params=["combined", 1], id=4), 4, "too many parameters"),
        (said(method="SET_PROPERTY", id=4), 4, "property name must be a string"),
        (said(method="GET_PROPERTY", params=[], id=4), 4, "property name must be a string"),
        (said(method="GET_PROPERTY", params=[1], id=4), 4, "property name must be a string"),
    ],
)
def test_invalid_requests(text: str, id_of: Any, words: str) -> None:
    error = refused(text)
    assert (error["code"], error["id"]) == (REQUEST, id_of)
    assert error["msg"].startswith("Invalid request: ")
    assert words in error["msg"]


def test_all_methods_are_named_where_one_is_unknown() -> None:
    error = refused(said(method="x" * 10_000, id=1))
    assert all(f"`{method}`" in error["msg"] for method in METHODS)
    assert len(error["msg"]) < 300


@pytest.mark.parametrize("method", ["SET_PROPERTY", "GET_PROPERTY"])
def test_an_unknown_property(method: str) -> None:
    error = refused(said(method=method, params=["depth"], id=4))
    assert error == {"code": 0, "msg": "Unknown property", "id": 4}


@pytest.mark.parametrize("params", [["combined"], ["combined", 1], ["combined", "true"]])
def test_a_property_is_true_or_false(params: list[Any]) -> None:
    error = refused(said(method="SET_PROPERTY", params=params, id=4))
    assert error == {"code": 1, "msg": "Invalid value type: expected Boolean", "id": 4}


def test_a_result_has_the_id_of_its_command() -> None:
    command = parse_command(said(method="SUBSCRIBE", params=["a@trade"], id="n-1"))
    assert result_of(command).text == b'{"result":null,"id":"n-1"}'
