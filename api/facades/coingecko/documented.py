"""What the OpenAPI document says of CoinGecko's answers and errors."""

from typing import Any

_TEXT = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
_STATUS = {
    "type": "object",
    "properties": {
        "status": {
            "type": "object",
            "properties": {
                "timestamp": {"type": "string"},
                "error_code": {"type": "integer"},
                "error_message": {"type": "string"},
            },
        }
    },
    "required": ["status"],
}


def _text(description: str, text: str) -> dict[str, Any]:
    media = {"schema": _TEXT, "example": {"error": text}}
    return {"description": description, "content": {"application/json": media}}


def _status(description: str, code: int, text: str) -> dict[str, Any]:
    status = {"timestamp": "2026-11-22T08:00:00.000+00:00", "error_code": code}
    media = {"schema": _STATUS, "example": {"status": {**status, "error_message": text}}}
    return {"description": description, "content": {"application/json": media}}


RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "JSON in CoinGecko's own shape"},
    404: _text("no such path, or the vendor knows no such coin", "not found"),
    422: _text("a parameter is missing or wrong", "Missing parameter vs_currency"),
    429: _status(
        "the client, or the gateway at the vendor, has used its limit",
        429,
        "You've exceeded the Rate Limit. …",
    ),
    503: _status("the vendor does not answer", 503, "all providers failed"),
}
