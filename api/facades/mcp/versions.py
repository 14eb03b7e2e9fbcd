"""The revisions of MCP that are spoken here, and how a request tells its own.

Since 2026-07-28 each request names its version in `_meta`, and headers repeat parts of the body.
Before, a handshake (`initialize`) agreed on a version. No state is kept for either.
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers

from api.facades.mcp.messages import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    UNSUPPORTED_VERSION,
    Message,
    ProtocolError,
)

#: Newest first.
STATELESS = ("2026-07-28",)
HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26")
SUPPORTED = (*STATELESS, *HANDSHAKE)
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
SERVER_KEY = "io.modelcontextprotocol/serverInfo"
VERSION_HEADER, METHOD_HEADER, NAME_HEADER = "mcp-protocol-version", "mcp-method", "mcp-name"
#: Characters of a version that an error repeats.
MAX_VERSION_LENGTH = 32
_CODED = "=?base64?"


def is_stateless(message: Message, headers: Headers) -> bool:
    """Whether the request belongs to the revisions without a handshake."""
    if VERSION_KEY in _meta(message):
        return True
    return headers.get(VERSION_HEADER, HANDSHAKE[0]) not in HANDSHAKE


def check_stateless(message: Message, headers: Headers) -> None:
    """Raises ProtocolError where headers and body differ, and for a version not spoken here."""
    given, header = _meta(message).get(VERSION_KEY), headers.get(VERSION_HEADER)
    if given is None and header not in STATELESS:
        raise _unsupported(header)
    if given is None:
        raise ProtocolError(INVALID_PARAMS, f"params._meta must have {VERSION_KEY}")
    _check_headers(message, headers, given)
    if given not in STATELESS:
        raise _unsupported(given)


def _check_headers(message: Message, headers: Headers, version: Any) -> None:
    for header in (VERSION_HEADER, METHOD_HEADER, NAME_HEADER):
        if len(headers.getlist(header)) > 1:
            raise ProtocolError(HEADER_MISMATCH, f"the header {header} is given more than once")
    if headers.get(VERSION_HEADER) != version:
        raise _mismatch(VERSION_HEADER, VERSION_KEY)
    if headers.get(METHOD_HEADER) != message.method:
        raise _mismatch(METHOD_HEADER, "method")
    name = message.params.get("name")
    if message.method == "tools/call" and isinstance(name, str) and _name_of(headers) != name:
        raise _mismatch(NAME_HEADER, "params.name")


def negotiated(asked: Any) -> str:
    """The version of a handshake: the client's own where it is spoken here."""
    return asked if asked in HANDSHAKE else HANDSHAKE[0]


def _meta(message: Message) -> Mapping[str, Any]:
    meta = message.params.get("_meta")
    return meta if isinstance(meta, dict) else {}


def _name_of(headers: Headers) -> str | None:
    """The header's value; names that are not ASCII are sent as `=?base64?…?=`."""
    value = headers.get(NAME_HEADER)
    if value is None or not (value.startswith(_CODED) and value.endswith("?=")):
        return value
    try:
        return b64decode(value[len(_CODED) : -2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _mismatch(header: str, member: str) -> ProtocolError:
    return ProtocolError(HEADER_MISMATCH, f"the header {header} must equal {member} of the body")


def _unsupported(version: str | None) -> ProtocolError:
    asked = (version or "")[:MAX_VERSION_LENGTH]
    data = {"supported": list(SUPPORTED), "requested": asked}
    return ProtocolError(UNSUPPORTED_VERSION, "unsupported protocol version", data=data)
