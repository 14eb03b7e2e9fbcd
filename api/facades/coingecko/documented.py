"""What the OpenAPI document says of CoinGecko's answers and errors."""

from typing import Any


def _field(kind: str, description: str, example: str | int) -> dict[str, Any]:
    return {"type": kind, "description": description, "examples": [example]}


_TEXT = {
    "type": "object",
    "properties": {"error": _field("string", "What is wrong.", "Missing parameter vs_currency")},
    "required": ["error"],
}
_STATUS = {
    "type": "object",
    "properties": {
        "status": {
            "type": "object",
            "description": "The failure.",
            "properties": {
                "timestamp": _field(
                    "string", "Time of the answer (UTC).", "2026-11-22T08:00:00.000+00:00"
                ),
                "error_code": _field("integer", "HTTP status, or CoinGecko's own code.", 429),
                "error_message": _field(
                    "string", "What happened.", "You've exceeded the Rate Limit. …"
                ),
            },
        }
    },
    "required": ["status"],
}
_LIMIT = {
    "timestamp": "2026-11-22T08:00:00.000+00:00",
    "error_code": 429,
    "error_message": "You've exceeded the Rate Limit. …",
}
_EXAMPLES = {
    "a wrong question": {"value": {"error": "Missing parameter vs_currency"}},
    "a limit or a failure": {"value": {"status": _LIMIT}},
}

#: All errors together: written out for each status they were a quarter of the whole document.
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "JSON in CoinGecko's own shape"},
    "default": {
        "description": "400, 404, 422: a text. 401, 429, 503, 504: a status, which clients wait by",
        "content": {
            "application/json": {
                "schema": {"oneOf": [_TEXT, _STATUS]},
                "examples": _EXAMPLES,
            }
        },
    },
}
