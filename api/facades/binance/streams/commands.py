"""The messages of a client of Binance's streams, and what is wrong with them in Binance's words.

Documentation: github binance/binance-spot-api-docs (web-socket-streams.md, 2026-07).
"""

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

import orjson

from api.encoding import to_json
from api.stream.protocol import Frame

Method = Literal["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY"]
METHODS: tuple[str, ...] = get_args(Method)
Id = int | str | None

#: Codes of errors: which property, its value, the request, its JSON, the limit of the client.
UNKNOWN_PROPERTY, INVALID_VALUE, INVALID_REQUEST, INVALID_JSON, RATE_LIMITED = 0, 1, 2, 3, -1003
#: Most streams of one command; a connection to Binance has at most this number.
MOST_PARAMS = 1_024
#: Characters of a client's text that an error repeats.
MOST_REPEATED = 60
_TEXT_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
_LARGEST_ID = 2**63


class InvalidCommand(Exception):
    """A command that is not executed. `id` is the command's, as far as it could be read."""

    def __init__(self, code: int, text: str, id: Id = None) -> None:  # noqa: A002 - the word on the wire
        super().__init__(text)
        self.code, self.id = code, id


@dataclass(frozen=True, slots=True)
class Command:
    """`streams` are those of SUBSCRIBE and UNSUBSCRIBE, `is_combined` the value of
    SET_PROPERTY."""

    method: Method
    id: Id
    streams: tuple[str, ...] = ()
    is_combined: bool = False


def result_of(command: Command, value: Any = None) -> Frame:
    return Frame(to_json({"result": value, "id": command.id}), "result")


def error_of(invalid: InvalidCommand) -> Frame:
    members = {"code": invalid.code, "msg": str(invalid)}
    if invalid.code != INVALID_JSON:  # its id could not be read
        members["id"] = invalid.id
    return Frame(to_json(members), "error")


def parse_command(text: str | None) -> Command:
    """Parses one message of a client; None is a binary message. Raises InvalidCommand."""
    try:
        message = orjson.loads(text or "")
    except (orjson.JSONDecodeError, UnicodeEncodeError) as error:
        where = getattr(error, "msg", "unexpected character")
        raise InvalidCommand(INVALID_JSON, f"Invalid JSON: {where}") from None
    if not isinstance(message, dict):
        raise invalid_request("a command must be an object")
    id = _id_of(message)  # noqa: A001 - the word on the wire
    method = message.get("method")
    if method not in METHODS:
        raise invalid_request(_method_problem(message), id)
    try:
        return _parse_params(method, message, id)
    except InvalidCommand as invalid:
        invalid.id = id
        raise


def invalid_request(text: str, id: Id = None) -> InvalidCommand:  # noqa: A002 - the word on the wire
    return InvalidCommand(INVALID_REQUEST, f"Invalid request: {text}", id)


def shortened(text: str) -> str:
    return text if len(text) <= MOST_REPEATED else f"{text[:MOST_REPEATED]}…"


def _id_of(message: dict[str, Any]) -> Id:
    value = message.get("id", ())
    is_number = type(value) is int and -_LARGEST_ID <= value < _LARGEST_ID
    is_text = isinstance(value, str) and _TEXT_ID.fullmatch(value)
    if not (value is None or is_number or is_text):
        allowed = "a 64-bit integer, a text of up to 36 letters and digits, or null"
        raise invalid_request(f"request ID must be {allowed}")
    return value  # type: ignore[no-any-return] # one of the three


def _method_problem(message: dict[str, Any]) -> str:
    if "method" not in message:
        return "missing field `method`"
    method = message["method"]
    variant = shortened(method) if isinstance(method, str) else type(method).__name__
    return (
        f"unknown variant `{variant}`, expected one of {', '.join(f'`{one}`' for one in METHODS)}"
    )


def _parse_params(method: Method, message: dict[str, Any], id: Id) -> Command:  # noqa: A002
    params = message.get("params")
    if method == "LIST_SUBSCRIPTIONS":
        if params:
            raise invalid_request("too many parameters")
        return Command(method, id)
    if params is None and method in ("SUBSCRIBE", "UNSUBSCRIBE"):
        raise invalid_request("missing field `params`")
    if method in ("SUBSCRIBE", "UNSUBSCRIBE"):
        return Command(method, id, _stream_names(params))
    return Command(method, id, is_combined=_property_value(method, params))


def _stream_names(params: Any) -> tuple[str, ...]:
    if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
        raise invalid_request("params must be a list of stream names")
    if len(params) > MOST_PARAMS:
        raise invalid_request("too many parameters")
    return tuple(dict.fromkeys(params))


def _property_value(method: Method, params: Any) -> bool:
    """The value of SET_PROPERTY, False for GET_PROPERTY. `combined` is the only property."""
    if not (isinstance(params, list) and params and isinstance(params[0], str)):
        raise invalid_request("property name must be a string")
    if params[0] != "combined":
        raise InvalidCommand(UNKNOWN_PROPERTY, "Unknown property")
    values = params[1:]
    if len(values) > (method == "SET_PROPERTY"):
        raise invalid_request("too many parameters")
    if method == "GET_PROPERTY":
        return False
    if not (values and isinstance(values[0], bool)):
        raise InvalidCommand(INVALID_VALUE, "Invalid value type: expected Boolean")
    return values[0]
