"""What the OpenAPI document says of the protocol's answers and errors."""

from typing import Any

from api.routes.schemas import UNCHANGED

_ERROR = {
    "type": "object",
    "properties": {
        "s": {"const": "error", "description": "State of the answer."},
        "errmsg": {
            "type": "string",
            "description": "What is wrong.",
            "examples": ["no coin is known as 'BTCX'; did you mean BTC?"],
        },
    },
    "required": ["s", "errmsg"],
}
#: Description and example by status.
_ERRORS = {
    401: ("a gateway key is needed", "send one of the gateway's keys as X-API-Key, …"),
    404: ("no such coin or path", "no coin is known as 'BTCX'; did you mean BTC?"),
    422: ("a wrong parameter", "resolution: must be one of 1, 3, 5, …"),
    429: ("the client has used its limit", "this address may use …; retry in 12 s"),
    503: ("no provider answered", "no provider could answer for …; retry in 28 s"),
    504: ("no provider answered in time", "no answer within 4 s"),
}


def data_responses(description: str, example: Any) -> dict[int | str, dict[str, Any]]:
    """Those of an answer that is cached, and has an ETag."""
    return responses(description, example) | UNCHANGED


def responses(description: str, example: Any) -> dict[int | str, dict[str, Any]]:
    """An answer with its example, and all errors."""
    media = "text/plain" if isinstance(example, str) else "application/json"
    answer = {"description": description, "content": {media: {"example": example}}}
    return {200: answer, **{status: _error(*texts) for status, texts in _ERRORS.items()}}


def _error(description: str, text: str) -> dict[str, Any]:
    example = {"s": "error", "errmsg": text}
    return {
        "description": description,
        "content": {"application/json": {"schema": _ERROR, "example": example}},
    }
