"""What the OpenAPI document says of Binance's answers and errors."""

from typing import Any

from api.routes.schemas import UNCHANGED

_ERROR = {
    "type": "object",
    "properties": {
        "code": {
            "type": "integer",
            "description": "Binance's code of the error.",
            "examples": [-1121],
        },
        "msg": {
            "type": "string",
            "description": "What is wrong, in Binance's words where it has some.",
            "examples": ["Invalid symbol."],
        },
    },
    "required": ["code", "msg"],
}
_WEIGHT = {
    "description": "What this gateway has used of Binance's limit per minute, by its own count.",
    "schema": {"type": "string", "examples": ["42"]},
}
_HEADERS = {"X-MBX-USED-WEIGHT": _WEIGHT, "X-MBX-USED-WEIGHT-1M": _WEIGHT}
#: Description, code and text by status; those of routes, which have the used weight.
_ERRORS = {
    400: (
        "the question is refused, by the vendor or in its words",
        -1121,
        "Invalid symbol.",
    ),
    429: (
        "the client, or the gateway at the vendor, has used its limit",
        -1003,
        "no provider could answer for binance /api/v3/klines?…",
    ),
    503: (
        "the vendor does not answer",
        -1001,
        "no provider could answer for binance /api/v3/klines?…",
    ),
    504: ("the vendor does not answer in time", -1007, "no answer within 4 s"),
}


def _error(description: str, code: int, text: str) -> dict[str, Any]:
    media = {"schema": _ERROR, "example": {"code": code, "msg": text}}
    return {"description": description, "content": {"application/json": media}}


#: Of what the gateway answers itself.
OWN: dict[int | str, dict[str, Any]] = {
    200: {"description": "now", "headers": _HEADERS},
    400: _error("another unit of time is asked for", -1100, "… times are in milliseconds.")
    | {"headers": _HEADERS},
    401: _error("a gateway key is needed", -1002, "send one of the gateway's keys as X-API-Key, …"),
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "JSON in Binance's own shape", "headers": _HEADERS},
    304: {**UNCHANGED[304], "headers": _HEADERS},
    401: OWN[401],
    **{status: _error(*texts) | {"headers": _HEADERS} for status, texts in _ERRORS.items()},
}
